"""Means by channel over calibration data, which no order, batching or sharding of the data changes.

Sums of floats depend on their order; sums of integers do not. So every value is rounded to a multiple of 2^-k and
counted as an integer of 64 bits. k follows from the largest magnitude that is expected, 2^e: k = 32 - e leaves room for
2^31 values of that size, and a mean that is off by at most 2^(e - 33).
"""

from __future__ import annotations

import math

import numpy as np

BITS = 32


class ChannelMeans:
    """Means of an array's last or second dimension. most: the largest magnitude to expect."""

    def __init__(self, most: float):
        self._factor = 2.0 ** (BITS - math.frexp(most)[1]) if most > 0 else 1.0
        self._sums: np.ndarray | None = None
        self._count = 0

    def add(self, values: np.ndarray, axis: int) -> None:
        """Count the values of an array of floats; its channels are dimension `axis`."""
        whole = np.rint(np.float64(values) * self._factor).astype(np.int64)
        sums = whole.sum(axis=tuple(i for i in range(values.ndim) if i != axis % values.ndim))
        self._sums = sums if self._sums is None else self._sums + sums
        self._count += values.size // max(sums.size, 1)

    def mean(self) -> np.ndarray:
        """float64 by channel."""
        assert self._sums is not None
        return self._sums / (max(self._count, 1) * self._factor)
