"""Operators of one input, element by element."""
