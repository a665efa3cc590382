"""Sequences of unequal length: packed into rectangles, padded, decoded.

PackSegments and UnpackSegments are native steps; the others are Python steps: numpy over whole arrays, but for the beam
search, which walks over time in Python.
"""
