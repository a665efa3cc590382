"""Sums and products of tensors, element by element."""
