"""l2_approx: narrows the range of all bins step by step while the sum of squared errors does not grow."""

from __future__ import annotations

from serverquant.qparams.choose import Defaults, QParams
from serverquant.qparams.histogram import Histogram
from serverquant.qparams.least_norm import least_norm


def choose_params(h: Histogram, precision: int, symmetric: bool, defaults: Defaults) -> QParams:
    """The last range before the cost grows (sq_search_l2_approx); symmetric: as l2."""
    norm = "l2" if symmetric else "l2_approx"
    return least_norm(h, precision, symmetric, defaults, norm)
