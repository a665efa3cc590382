"""Fully connected layers: float, int8 of the server set and of the mobile set, and packing of their weights."""
