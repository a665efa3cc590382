"""Operators that resize, pad or shuffle images."""
