"""Ways to find the quantization parameters of weights: a range of the values, then `choose`.

::

    min_max     all values lie within
    l1, l2      least sum of errors, or of their squares, over all ranges of a histogram's bins
    l2_approx   as l2, but narrowing from all bins; as l2 when symmetric
    kl          least Kullback-Leibler divergence over all ranges
    p99         what lies between the 0.5 % and 99.5 % quantiles

All but min_max work on a histogram of 2^(precision + 3) bins. The searches cost time with the third power of the bins.
"""

from __future__ import annotations

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.qparams._search import Counts
from serverquant.qparams.choose import QParams, choose, find_min_max
from serverquant.qparams.histogram import Histogram, histogram, include_zero

KINDS = ("min_max", "l1", "l2", "l2_approx", "kl", "p99")


def choose_weight(
    values: np.ndarray, kind: str, precision: int = 8, symmetric: bool = False, power_of_two: bool = False
) -> QParams:
    """Signed parameters of float weights that share them.

    power_of_two applies to min_max alone, as in Caffe2. Raises ArgumentError for an unknown kind.
    """
    if kind not in KINDS:
        raise ArgumentError(f"{kind!r} is no kind of weight quantization; choose one of {', '.join(KINDS)}")
    lo, hi = find_min_max(values)
    if kind == "min_max" or not hi > lo:
        return choose(lo, hi, precision, symmetric, power_of_two).to_signed()
    h = histogram(values, 1 << (precision + 3))
    if kind == "kl":
        return _kl(h, precision, symmetric)
    h = include_zero(h)
    ends = _quantiles(h) if kind == "p99" else _least_error(h, kind, precision, symmetric)
    return choose(*ends, precision, symmetric).to_signed()


def _least_error(h: Histogram, kind: str, precision: int, symmetric: bool) -> tuple[float, float]:
    counts = Counts(h.counts, precision)
    if kind == "l2_approx" and not symmetric:
        begin, bins = counts.narrowed()
    else:
        zero = h.zero_bin if h.lo != 0 else -1
        begin, bins = counts.least("l2" if kind == "l2_approx" else kind, symmetric, zero)
    return _ends(h, begin, begin + bins)


def _ends(h: Histogram, begin: float, end: float) -> tuple[float, float]:
    lo, width = h.lo, h.width
    return float(lo + width * np.float32(begin)), float(lo + width * np.float32(end))


def _quantiles(h: Histogram) -> tuple[float, float]:
    threshold = np.float32(0.99)
    left = float((np.float32(1) - threshold) / np.float32(2))
    right = 1.0 - left
    below = np.cumsum(h.counts) / h.counts.sum()
    i, j = 0, h.counts.size - 2
    moved = True
    while i <= j and moved:
        moved = False
        if below[i] < left:
            i, moved = i + 1, True
        if below[j] > right:
            j, moved = j - 1, True
    return _ends(h, i, j + 2)


def _kl(h: Histogram, precision: int, symmetric: bool) -> QParams:
    """Caffe2 chooses the parameters for 8 bits whatever the precision, which only moves the zero point."""
    begin, bins = Counts(h.counts, precision).least("kl", symmetric, h.zero_bin)
    lo, width = float(h.lo), float(h.width)
    found = choose(lo + width * (begin + 0.5), lo + width * (begin + bins + 0.5))
    return QParams(found.scale, found.zero_point - (1 << (precision - 1)), 8, True)
