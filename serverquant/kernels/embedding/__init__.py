"""Sums over bags of rows of an embedding table."""
