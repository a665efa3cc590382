"""Ways to find the parameters of a weight, one module each; a new module here is a new kind.

A module has one function, ``choose_params(values, lo, hi, precision, symmetric, defaults) -> QParams``:

values: float32 of any shape; not empty. lo, hi: their minimum and maximum, finite, lo < hi but for min_max.
precision: bits. symmetric: a range on both sides of 0 shall have its zero point in the middle.
defaults: what Caffe2 takes from its flags here, whatever the operator says; min_max alone takes the operator's own
power_of_two instead.
The answer is unsigned, for `precision` bits (kl: for `defaults.precision`, as in Caffe2).
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.qparams.choose import DEFAULTS, Defaults, QParams, choose, find_min_max

KINDS = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def choose_weight(
    values: np.ndarray,
    kind: str,
    precision: int = 8,
    symmetric: bool = False,
    power_of_two: bool = False,
    defaults: Defaults = DEFAULTS,
) -> QParams:
    """Signed parameters (zero point less 2^(precision - 1)) of float weights that share them.

    kind: one of KINDS, of any case. power_of_two is min_max's alone, other kinds do what `defaults` say. Weights that
    are all equal, or not finite, get what min_max gives them.
    Raises ArgumentError for an unknown kind or a precision outside 2..16, QuantizationError where a histogram would
    need too many bins.
    """
    name = kind.lower()
    if name == "min_max":
        defaults = defaults._replace(power_of_two=power_of_two)
    if name not in KINDS:
        raise ArgumentError(f"{kind!r} is no kind of weight quantization; it must be one of {', '.join(KINDS)}")
    lo, hi = find_min_max(values)
    if name != "min_max" and not (lo < hi and np.isfinite(lo) and np.isfinite(hi)):
        found = choose(lo, hi, precision, symmetric, defaults.power_of_two)
    else:
        method = import_module(f"{__name__}.{name}")
        found = method.choose_params(values, lo, hi, precision, symmetric, defaults)
    return QParams(found.scale, found.zero_point - (1 << (precision - 1)), found.precision, True)
