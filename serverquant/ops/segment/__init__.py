"""Reductions of segments of a tensor's first dimension, which lengths or segment ids describe."""
