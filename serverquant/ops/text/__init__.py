"""Strings, and dictionaries that live in blobs: numpy and Python bodies."""
