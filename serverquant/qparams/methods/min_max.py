"""min_max: all values lie within."""

from __future__ import annotations

import numpy as np

from serverquant.qparams.choose import QParams, choose


def choose_params(
    values: np.ndarray, lo: float, hi: float, precision: int, symmetric: bool, power_of_two: bool
) -> QParams:
    """choose(lo, hi)."""
    return choose(lo, hi, precision, symmetric, power_of_two)
