"""Convolutions: float, int8 of the server set (engine DNNLOWP) and of the mobile set, and packing of their weights."""
