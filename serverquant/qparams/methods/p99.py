"""p99: what lies between the 0.5 % and 99.5 % quantiles of a histogram."""

from __future__ import annotations

import numpy as np

from serverquant.qparams.choose import QParams, choose
from serverquant.qparams.histogram import Histogram

THRESHOLD = np.float32(0.99)


def choose_params(
    values: np.ndarray, lo: float, hi: float, precision: int, symmetric: bool, power_of_two: bool
) -> QParams:
    """From bin i on, the first with left of the values up to its end, to bin j + 1, by turns from both sides.

    left = f32((1 - 0.99) / 2); j starts at the last bin but one and goes down while more than 1 - left lie up to it.
    """
    h = Histogram.of(values, 1 << (precision + 3), lo, hi).include_zero()
    i, j = _quantiles(h.counts)
    width = h.width
    begin, end = np.float32(i) * width + h.lo, np.float32(j + 2) * width + h.lo
    return choose(float(begin), float(end), precision, symmetric)


def _quantiles(counts: np.ndarray) -> tuple[int, int]:
    left = float((np.float32(1) - THRESHOLD) / np.float32(2))
    below = np.cumsum(counts) / float(counts.sum())
    i, j, moved = 0, counts.size - 2, True
    while moved and i <= j:
        moved = False
        if below[i] < left:
            i, moved = i + 1, True
        if below[j] > 1.0 - left:
            j, moved = j - 1, True
    return i, j
