"""Scales and shifts by channel (`quantization.affine`) move into the Conv or FC behind them.

With z = a x + s, a and s by input channel, and y = W z + b: y = (W a) x + (W s + b).

It is done where the layer alone reads z. A Conv that pads adds zeros to z, which no x stands for unless s = 0: there a
shift stays.
"""

from __future__ import annotations

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.affine import TYPES, Affine, affine_of
from serverquant.quantization.net import PADS, Net, arguments
from serverquant.quantization.rewrite.fold_affine import channel_of, layer_weight


def apply(net: Net) -> int:
    return net.remove_while(_fold_one)


def _fold_one(net: Net) -> OperatorDef | None:
    readers = net.readers()
    for op in net.ops:
        if op.type not in TYPES or len(readers.get(op.output[0], [])) != 1 or op.output[0] in net.kept:
            continue
        layer = readers[op.output[0]][0]
        weight = layer_weight(net, layer)
        given = [name for name in op.input if net.weight(name) is None]
        if weight is None or len(given) != 1 or layer.input[0] != op.output[0]:
            continue
        if layer.type == "FC" and arguments(layer).int("axis", 1) != 1:
            continue
        n = _inputs(layer, weight)
        found = affine_of(net, op, given[0], n, weight.ndim, channel_of(layer, weight.ndim))
        if found is not None and _fold(net, layer, weight, found):
            layer.input[0] = given[0]
            return op
    return None


def _axis(layer: OperatorDef, weight: np.ndarray) -> int:
    """The axis of a weight's input channels."""
    return channel_of(layer, weight.ndim)


def _inputs(layer: OperatorDef, weight: np.ndarray) -> int:
    """Channels that the layer reads."""
    return int(weight.shape[_axis(layer, weight)]) * arguments(layer).int("group", 1)


def _pads(layer: OperatorDef) -> bool:
    args = arguments(layer)
    return any(np.any(args.value(name)) for name in (*PADS, "legacy_pad") if args.has(name))


def _fold(net: Net, layer: OperatorDef, weight: np.ndarray, affine: Affine) -> bool:
    bias = net.weight(layer.input[2]) if len(layer.input) > 2 else np.zeros(len(weight), np.float32)
    if bias is None or (affine.s.any() and _pads(layer)):
        return False
    axis, outputs = _axis(layer, weight), len(weight)
    inner = weight.shape[axis]
    group = np.arange(outputs) * arguments(layer).int("group", 1) // outputs
    channels = group[:, None] * inner + np.arange(inner)  # that each output reads
    shape = [outputs] + [1] * (weight.ndim - 1)
    shape[axis] = inner
    shift = (weight * affine.s[channels].reshape(shape)).reshape(outputs, -1).sum(axis=1)
    names = [net.add_weight(layer.input[1] + "_folded", weight * affine.a[channels].reshape(shape))]
    names.append(net.add_weight(layer.input[1] + "_bias", bias.reshape(-1) + shift))
    layer.input[1:] = names
    return True
