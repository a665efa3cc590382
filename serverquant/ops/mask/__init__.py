"""Operators that keep, put back or overwrite elements by a mask."""
