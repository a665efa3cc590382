"""Operators that move elements or change shapes: no arithmetic."""
