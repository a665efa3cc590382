"""Scales and shifts by channel move into the Conv or FC before them.

With y = W x + b and z = a y + s, a and s by output channel: z = (a W) x + (a b + s).

    SpatialBN (is_test)   a = scale / sqrt(var + epsilon), s = bias - a mean
    AffineChannel         a = scale, s = bias
    Mul, Add, Sub         with a weight that has one value, or one for each channel

It is done where nobody else reads y. Repeated until nothing follows, so Mul and Add behind each other both go.
"""

from __future__ import annotations

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.net import Net, arguments

LAYERS = ("Conv", "FC")


def apply(net: Net) -> int:
    folded = 0
    while op := _fold_one(net):
        net.remove([op])
        folded += 1
    return folded


def _fold_one(net: Net) -> OperatorDef | None:
    readers, writers = net.readers(), net.writers()
    for op in net.ops:
        for name in op.input[:2]:
            layer = writers.get(name)
            if layer is None or layer.type not in LAYERS or layer.engine or len(readers[name]) > 1 or name in net.kept:
                continue
            weight = net.weight(layer.input[1])
            if weight is None or (layer.type == "FC" and arguments(layer).int("axis_w", 1) != 1):
                continue
            found = _affine(net, op, name, layer, weight)
            if found is not None and _fold(net, layer, weight, *found):
                layer.output[0] = op.output[0]
                return op
    return None


def _fold(net: Net, layer: OperatorDef, weight: np.ndarray, a: np.ndarray, s: np.ndarray) -> bool:
    bias = net.weight(layer.input[2]) if len(layer.input) > 2 else np.zeros(len(weight), np.float32)
    if bias is None:
        return False
    scaled = weight * a.reshape((-1,) + (1,) * (weight.ndim - 1))
    names = [net.add_weight(layer.input[1] + "_folded", scaled)]
    names.append(net.add_weight(layer.input[1] + "_bias", a * bias.reshape(-1) + s))
    layer.input[1:] = names
    return True


def _affine(
    net: Net, op: OperatorDef, name: str, layer: OperatorDef, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """(a, s), float64 by channel, when op makes a * name + s; else None."""
    constants = [net.weight(other) for other in op.input if other != name]
    if op.engine or len(constants) != len(op.input) - 1 or any(c is None or c.dtype != np.float32 for c in constants):
        return None
    values = [np.float64(c) for c in constants if c is not None]
    n, args = len(weight), arguments(op)
    if op.type in ("SpatialBN", "AffineChannel"):
        if op.input[0] != name or any(v.size != n for v in values) or _order(op) != _order(layer):
            return None
        if op.type == "AffineChannel":
            return (values[0], values[1]) if len(values) == 2 else None
        if not args.int("is_test", 0) or len(values) != 4 or layer.type != "Conv":
            return None
        scale, bias, mean, variance = values
        a = scale / np.sqrt(variance + args.float("epsilon", 1e-5))
        return a, bias - a * mean
    if op.type not in ("Mul", "Add", "Sub") or (op.type == "Sub" and op.input[0] != name):
        return None
    value = _by_channel(op, layer, values[0], n, weight.ndim)
    if value is None:
        return None
    one = np.ones(n)
    return (value, 0 * one) if op.type == "Mul" else (one, value if op.type == "Add" else -value)


def _order(op: OperatorDef) -> str:
    return arguments(op).string("order", "NCHW")


def _by_channel(op: OperatorDef, layer: OperatorDef, value: np.ndarray, n: int, ndim: int) -> np.ndarray | None:
    """A constant operand as n values, when it has one for each channel of the layer's output, or one alone.

    ndim: of the output. Old broadcasting (broadcast=1, axis=k) puts the constant's first dimension at k; otherwise, as
    in numpy, its last dimension belongs to the last one.
    """
    if value.size == 1:
        return np.full(n, value.reshape(-1)[0]) if value.ndim <= ndim else None
    channel = 1 if layer.type == "FC" or _order(layer) == "NCHW" else ndim - 1
    axis = arguments(op).int("axis", -1) if arguments(op).int("broadcast", 0) else -1
    begin = axis if axis >= 0 else ndim - value.ndim
    shape = (1,) * begin + value.shape
    shape += (1,) * (ndim - len(shape))
    return value.reshape(-1) if begin >= 0 and len(shape) == ndim and shape[channel] == n == value.size else None
