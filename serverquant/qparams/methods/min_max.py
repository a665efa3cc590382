"""min_max: all values lie within."""

from __future__ import annotations

from serverquant.qparams.choose import Defaults, QParams, choose
from serverquant.qparams.histogram import Histogram


def choose_params(h: Histogram, precision: int, symmetric: bool, defaults: Defaults) -> QParams:
    """choose(h.lo, h.hi)."""
    return choose(float(h.lo), float(h.hi), precision, symmetric, defaults.power_of_two)
