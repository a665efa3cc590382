"""Operators that pick or place slices at indices."""
