"""Ways to find the parameters of a weight, one module each; a new module here is a new kind.

A module has one function, ``choose_params(histogram, precision, symmetric, defaults) -> QParams``:

histogram: of the values, from their minimum to their maximum, finite, lo < hi but for min_max, which looks at nothing
else.
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
from serverquant.qparams.histogram import Histogram

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
    lo, hi = find_min_max(values)
    searched = name != "min_max" and lo < hi and np.isfinite(lo) and np.isfinite(hi)
    if searched:
        h = Histogram.of(values, 1 << (precision + 3), lo, hi)
    else:
        h = Histogram(np.zeros(1, np.int64), np.float32(lo), np.float32(hi))
    found = choose_from_histogram(h, name, precision, symmetric, defaults)
    return QParams(found.scale, found.zero_point - (1 << (precision - 1)), found.precision, True)


def choose_from_histogram(
    histogram: Histogram, kind: str, precision: int = 8, symmetric: bool = False, defaults: Defaults = DEFAULTS
) -> QParams:
    """Unsigned parameters of values of which a histogram is known, from their minimum to their maximum.

    kind: one of KINDS, of any case. An empty or infinite range gets what min_max gives it. The same scale and zero
    point as Caffe2's from a histogram of the same bins.
    """
    name = kind.lower()
    if name not in KINDS:
        raise ArgumentError(f"{kind!r} is no kind of quantization; it must be one of {', '.join(KINDS)}")
    lo, hi = histogram.lo, histogram.hi
    if name != "min_max" and not (lo < hi and np.isfinite(lo) and np.isfinite(hi)):
        return choose(float(lo), float(hi), precision, symmetric, defaults.power_of_two)
    method = import_module(f"{__name__}.{name}")
    params: QParams = method.choose_params(histogram, precision, symmetric, defaults)
    return params
