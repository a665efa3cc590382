"""Bytes through a table of 256 bytes."""
