"""Quantization parameters from a range of values.

A quantized tensor stands for ``scale * (q - zero_point)``. `choose` finds scale and zero point for the range that a
tensor spans, exactly as Caffe2's DNNLOWP operators do; docs/numerics.md has the rule, step by step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.qparams._choose import choose_native, find_min_max_native

MIN_PRECISION, MAX_PRECISION = 2, 16


class QParams(NamedTuple):
    """Scale and zero point of a quantized tensor: value = scale * (q - zero_point).

    scale: a float that holds an exact f32. zero_point: the stored integer that stands for 0. precision: bits.
    is_signed: q runs from -2^(p-1) instead of from 0 (weights inside operators), the zero point likewise.
    """

    scale: float
    zero_point: int
    precision: int = 8
    is_signed: bool = False

    @property
    def qmin(self) -> int:
        """The smallest stored integer."""
        return -(1 << (self.precision - 1)) if self.is_signed else 0

    @property
    def qmax(self) -> int:
        """The largest stored integer."""
        return self.qmin + (1 << self.precision) - 1

    @property
    def min(self) -> float:
        """The smallest value that can be stood for: f32(scale * (qmin - zero_point))."""
        return float(np.float32(self.scale * (self.qmin - self.zero_point)))

    @property
    def max(self) -> float:
        """The largest value that can be stood for: f32(scale * (qmax - zero_point))."""
        return float(np.float32(self.scale * (self.qmax - self.zero_point)))

    def to_signed(self) -> QParams:
        """The same values stored as signed integers: q and zero point less 2^(p-1)."""
        if self.is_signed:
            return self
        return QParams(self.scale, self.zero_point - (1 << (self.precision - 1)), self.precision, True)


class Defaults(NamedTuple):
    """What Caffe2 takes from its flags where it chooses parameters of weights by a kind other than min_max, whatever
    the operator's arguments say.

    precision, symmetric: of activations; kl alone takes them. power_of_two: scales are rounded up to powers of two.
    p99_threshold: share of the weights that p99 keeps.
    """

    precision: int = 8
    symmetric: bool = False
    power_of_two: bool = False
    p99_threshold: float = 0.99


DEFAULTS = Defaults()

def choose(
    min: float, max: float, precision: int = 8, symmetric: bool = False, power_of_two: bool = False
) -> QParams:
    """Parameters (unsigned) under which the range [min, max], widened to hold 0, fills `precision` bits.

    min, max: rounded to f32. symmetric: a range on both sides of 0 gets the middle zero point 2^(p-1); a one-sided
    range is treated as usual. power_of_two: round the scale up to a power of two.
    A range of zero width gives scale 0.1; one with a NaN end gives scale NaN, whose zero point is 0.
    Raises ArgumentError for a precision outside 2..16.
    """
    if not MIN_PRECISION <= precision <= MAX_PRECISION:
        raise ArgumentError(f"precision must be {MIN_PRECISION} to {MAX_PRECISION} bits, not {precision}")
    scale, zero_point = choose_native(min, max, precision, symmetric, power_of_two)
    return QParams(scale, zero_point, precision)


def relu_params(params: QParams, symmetric: bool = False, power_of_two: bool = False) -> QParams:
    """The parameters that an operator with a fused Relu gives its output instead of `params`: choose(0, params.max)."""
    return choose(0.0, params.max, params.precision, symmetric, power_of_two)


def find_min_max(array: np.ndarray) -> tuple[float, float]:
    """(min, max) of an array of any shape, as f32; (0, 0) when it is empty.

    A NaN is passed over, except that in whole blocks of eight it makes earlier values of its lane (index modulo 8)
    forgotten, as in Caffe2; a NaN that comes first makes both ends NaN.
    """
    return find_min_max_native(np.ascontiguousarray(array, np.float32).reshape(-1))
