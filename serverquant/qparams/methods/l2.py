"""l2: of all ranges of a histogram's bins, that whose quantization has the least sum of squared errors."""

from __future__ import annotations

from serverquant.qparams.choose import Defaults, QParams
from serverquant.qparams.histogram import Histogram
from serverquant.qparams.least_norm import least_norm


def choose_params(h: Histogram, precision: int, symmetric: bool, defaults: Defaults) -> QParams:
    """The best of all ranges; symmetric: of those around 0. search.h has the cost."""
    return least_norm(h, precision, symmetric, defaults, "l2")
