"""Operators that scale and shift by channel: z = a x + s, with constant a and s.

    SpatialBN (is_test)   a = scale / sqrt(var + epsilon), s = bias - a mean
    AffineChannel         a = scale, s = bias
    Mul, Add, Sub         with a constant that has one value, or one for each channel
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.net import Net, arguments

EPSILON = 2.0**-20  # of a SpatialBN made here: with a variance of 1 - EPSILON its reciprocal square root is 1
NORMS = ("SpatialBN", "AffineChannel")
TYPES = (*NORMS, "Mul", "Add", "Sub")


class Affine(NamedTuple):
    """a, s: float64, a value for each channel."""

    a: np.ndarray
    s: np.ndarray

    def behind(self, first: Affine) -> Affine:
        """Both in one, this one last."""
        return Affine(self.a * first.a, self.a * first.s + self.s)


def add_norm(net: Net, name: str, affine: Affine) -> list[str]:
    """The weights of a SpatialBN with EPSILON that does this: scale, bias, mean 0, variance."""
    n = affine.a.size
    values = {"scale": affine.a, "shift": affine.s, "mean": np.zeros(n), "variance": np.full(n, 1 - EPSILON)}
    return [net.add_weight(f"{name}_{what}", value) for what, value in values.items()]


def order_of(op: OperatorDef) -> str:
    return arguments(op).string("order", "NCHW")


def affine_of(net: Net, op: OperatorDef, name: str, n: int, ndim: int, channel: int) -> Affine | None:
    """What op does to the blob `name` of ndim dimensions, whose axis `channel` has n channels; None if something else.

    Old broadcasting (broadcast=1, axis=k) puts a constant's first dimension at k; otherwise, as in numpy, its last
    dimension belongs to the last one.
    """
    if op.type not in TYPES or op.engine or name not in op.input:
        return None
    constants = [net.weight(other) for other in op.input if other != name]
    if len(constants) != len(op.input) - 1 or any(c is None or c.dtype != np.float32 for c in constants):
        return None
    values = [np.float64(c) for c in constants if c is not None]
    if op.type in NORMS:
        if op.input[0] != name or any(v.size != n for v in values) or channel_axis(op, ndim) != channel:
            return None
        return _norm(op, values)
    if op.type == "Sub" and op.input[0] != name:
        return None
    value = _by_channel(op, values[0], n, ndim, channel)
    if value is None:
        return None
    one, zero = np.ones(n), np.zeros(n)
    return Affine(value, zero) if op.type == "Mul" else Affine(one, value if op.type == "Add" else -value)


def channel_axis(op: OperatorDef, ndim: int) -> int:
    """Where an operator with an order, and a blob of ndim dimensions, has its channels."""
    return 1 if order_of(op) == "NCHW" else ndim - 1


def _norm(op: OperatorDef, values: list[np.ndarray]) -> Affine | None:
    args = arguments(op)
    if op.type == "AffineChannel":
        return Affine(values[0], values[1]) if len(values) == 2 else None
    if not args.int("is_test", 0) or len(values) != 4:
        return None
    scale, bias, mean, variance = values
    a = scale / np.sqrt(variance + args.float("epsilon", 1e-5))
    return Affine(a, bias - a * mean)


def _by_channel(op: OperatorDef, value: np.ndarray, n: int, ndim: int, channel: int) -> np.ndarray | None:
    """A constant operand as n values, when it has one for each channel, or one alone."""
    if value.size == 1:
        return np.full(n, value.reshape(-1)[0]) if value.ndim <= ndim else None
    axis = arguments(op).int("axis", -1) if arguments(op).int("broadcast", 0) else -1
    begin = axis if axis >= 0 else ndim - value.ndim
    shape = (1,) * begin + value.shape
    shape += (1,) * (ndim - len(shape))
    return value.reshape(-1) if begin >= 0 and len(shape) == ndim and shape[channel] == n == value.size else None
