"""Histograms of a tensor's values, as Caffe2 makes them for weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from serverquant.qparams.choose import find_min_max


class Histogram(NamedTuple):
    """Counts of values in bins of equal width. lo, hi, width: float32, the ends of the bins and a bin's width."""

    counts: np.ndarray
    lo: np.float32
    hi: np.float32

    @property
    def width(self) -> np.float32:
        return np.float32((self.hi - self.lo) / np.float32(self.counts.size))

    @property
    def zero_bin(self) -> int:
        """The bin border nearest to 0, counted from the first; halves go away from zero."""
        border = float(-self.lo / self.width)
        return int(np.copysign(np.floor(abs(border) + 0.5), border))


def histogram(values: np.ndarray, bins: int) -> Histogram:
    """Counts of float32 values between their minimum and maximum; all in the first bin when these are equal."""
    lo, hi = (np.float32(v) for v in find_min_max(values))
    width = np.float32((hi - lo) / np.float32(bins))
    flat = np.asarray(values, np.float32).reshape(-1)
    if not width > 0:
        counts = np.zeros(bins, np.int64)
        counts[0] = flat.size
        return Histogram(counts, lo, hi)
    index = np.clip(((flat - lo) / width).astype(np.int64), 0, bins - 1)
    return Histogram(np.bincount(index, minlength=bins).astype(np.int64), lo, hi)


def include_zero(h: Histogram) -> Histogram:
    """The same with empty bins added in front or behind until 0 is within."""
    if h.lo > 0:
        k = int(np.ceil(h.lo / h.width))
        return Histogram(np.concatenate((np.zeros(k, np.int64), h.counts)), h.lo - np.float32(k) * h.width, h.hi)
    if h.hi < 0:
        k = int(np.ceil(-h.hi / h.width))
        return Histogram(np.concatenate((h.counts, np.zeros(k, np.int64))), h.lo, h.hi + np.float32(k) * h.width)
    return h
