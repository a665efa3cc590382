"""Operators that make blobs: given values, constants, random numbers."""
