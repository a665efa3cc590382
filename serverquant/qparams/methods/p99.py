"""p99: the middle 99 % of a histogram, or another share."""

from __future__ import annotations

import numpy as np

from serverquant.qparams.choose import Defaults, QParams, choose
from serverquant.qparams.histogram import Histogram


def choose_params(h: Histogram, precision: int, symmetric: bool, defaults: Defaults) -> QParams:
    """The range from bin i to bin j + 1, found by turns from both sides.

    i is the first bin with left = f32((1 - threshold) / 2) of the values up to its end; j starts at the last bin but
    one and goes down while more than 1 - left lie up to it.
    """
    h = h.include_zero()
    i, j = _quantiles(h.counts, defaults.p99_threshold)
    width = h.width
    begin, end = np.float32(i) * width + h.lo, np.float32(j + 2) * width + h.lo
    return choose(float(begin), float(end), precision, symmetric, defaults.power_of_two)


def _quantiles(counts: np.ndarray, threshold: float) -> tuple[int, int]:
    left = float((np.float32(1) - np.float32(threshold)) / np.float32(2))
    below = np.cumsum(counts) / float(counts.sum())
    i, j, moved = 0, counts.size - 2, True
    while moved and i <= j:
        moved = False
        if below[i] < left:
            i, moved = i + 1, True
        if below[j] > 1.0 - left:
            j, moved = j - 1, True
    return i, j
