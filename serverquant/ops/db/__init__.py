"""Blobs to and from files."""
