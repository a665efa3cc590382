"""What l1, l2 and l2_approx share: a histogram that holds 0, a search over its ranges of bins, and `choose`."""

from __future__ import annotations

import numpy as np

from serverquant.qparams._search import search_norm
from serverquant.qparams.choose import Defaults, QParams, choose
from serverquant.qparams.histogram import MAX_BINS, Histogram

# Searches over more bins would take minutes: their time grows with the square of the bins at best.
MAX_SEARCHED_BINS = 1 << 14
# A scale below this is left alone: nothing is cut off from values that are so close together.
SMALL_SCALE = np.float32(6.1e-5)


def least_norm(h: Histogram, precision: int, symmetric: bool, defaults: Defaults, norm: str) -> QParams:
    """Parameters of the bins lo + width * b .. lo + width * (b + c) that `norm` finds.

    Of all bins, without a search, when these would have a scale below SMALL_SCALE (found by asking Caffe2).
    """
    most = MAX_BINS if norm == "l2_approx" else MAX_SEARCHED_BINS
    h = h.include_zero(most)
    if (h.hi - h.lo) / np.float32((1 << precision) - 1) < SMALL_SCALE:
        return choose(float(h.lo), float(h.hi), precision, symmetric, defaults.power_of_two)
    width = h.width
    b, c = search_norm(norm, h.counts.astype(np.float32), float(width), precision, *h.ranges(symmetric, width))
    begin, end = h.lo + width * np.float32(b), h.lo + width * np.float32(b + c)
    return choose(float(begin), float(end), precision, symmetric, defaults.power_of_two)
