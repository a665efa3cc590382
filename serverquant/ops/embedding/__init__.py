"""Embedding tables: rows quantized by themselves, and sums over bags of rows."""
