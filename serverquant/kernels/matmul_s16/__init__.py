"""Exact products of small whole numbers: both operands change at every run, so nothing is packed."""
