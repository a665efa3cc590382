"""min_max: all values lie within."""

from __future__ import annotations

import numpy as np

from serverquant.qparams.choose import Defaults, QParams, choose


def choose_params(
    values: np.ndarray, lo: float, hi: float, precision: int, symmetric: bool, defaults: Defaults
) -> QParams:
    """choose(lo, hi)."""
    return choose(lo, hi, precision, symmetric, defaults.power_of_two)
