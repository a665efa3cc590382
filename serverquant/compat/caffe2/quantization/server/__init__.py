"""DNNLOWP."""
