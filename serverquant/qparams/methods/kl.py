"""kl: the range whose quantization has the least Kullback-Leibler divergence from the values' distribution."""

from __future__ import annotations

import numpy as np

from serverquant.qparams._search import search_kl
from serverquant.qparams.choose import Defaults, QParams, choose
from serverquant.qparams.histogram import Histogram


def choose_params(h: Histogram, precision: int, symmetric: bool, defaults: Defaults) -> QParams:
    """The best of all ranges, or, symmetric, of those around 0; kl.h has the divergence.

    It compares what falls into steps with what falls into bins, and says nothing with more steps than bins.
    The ends are the middles of bins. As in Caffe2 the parameters are those of an activation, 8 bits and not symmetric
    by default, whatever the weight's.
    """
    lo, hi = float(h.lo), float(h.hi)
    width = np.float64(h.width)
    if not width > 0:
        return choose(lo, hi, *defaults[:3])
    b, c = search_kl(h.counts, precision, *h.ranges(symmetric, width))
    return choose(lo + width * (b + 0.5), lo + width * (b + c + 0.5), *defaults[:3])
