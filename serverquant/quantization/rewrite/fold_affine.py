"""Scales and shifts by channel (`quantization.affine`) move into the Conv or FC before them.

With y = W x + b and z = a y + s, a and s by output channel: z = (a W) x + (a b + s).

It is done where nobody else reads y. Repeated until nothing follows, so Mul and Add behind each other both go.
"""

from __future__ import annotations

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.affine import Affine, affine_of, channel_axis
from serverquant.quantization.net import LAYERS, Net, arguments


def apply(net: Net) -> int:
    return net.remove_while(_fold_one)


def layer_weight(net: Net, layer: OperatorDef | None) -> np.ndarray | None:
    """The weight, outputs first, of a Conv or FC that can be folded into; else None."""
    if layer is None or layer.type not in LAYERS or layer.engine:
        return None
    weight = net.weight(layer.input[1])
    if weight is None or weight.dtype != np.float32 or (layer.type == "FC" and arguments(layer).int("axis_w", 1) != 1):
        return None
    return weight.reshape(len(weight), -1) if layer.type == "FC" else weight


def channel_of(layer: OperatorDef, ndim: int) -> int:
    """The axis of channels of what a layer reads and writes, of ndim dimensions."""
    return 1 if layer.type == "FC" else channel_axis(layer, ndim)


def _fold_one(net: Net) -> OperatorDef | None:
    readers, writers = net.readers(), net.writers()
    for op in net.ops:
        for name in op.input[:2]:
            layer = writers.get(name)
            weight = layer_weight(net, layer)
            if layer is None or weight is None or len(readers[name]) > 1 or name in net.kept:
                continue
            if layer.type == "FC" and (op.type == "SpatialBN" or _from_an_axis(op, layer)):
                continue
            found = affine_of(net, op, name, len(weight), weight.ndim, channel_of(layer, weight.ndim))
            if found is not None and _fold(net, layer, weight, found):
                layer.output[0] = op.output[0]
                return op
    return None


def _from_an_axis(op: OperatorDef, layer: OperatorDef) -> bool:
    """Whether a constant lies at an axis of the output of an FC that has more than two dimensions."""
    return arguments(op).has("axis") and arguments(layer).int("axis", 1) != 1


def _fold(net: Net, layer: OperatorDef, weight: np.ndarray, affine: Affine) -> bool:
    bias = net.weight(layer.input[2]) if len(layer.input) > 2 else np.zeros(len(weight), np.float32)
    if bias is None:
        return False
    scaled = weight * affine.a.reshape((-1,) + (1,) * (weight.ndim - 1))
    names = [net.add_weight(layer.input[1] + "_folded", scaled)]
    names.append(net.add_weight(layer.input[1] + "_bias", affine.a * bias.reshape(-1) + affine.s))
    layer.input[1:] = names
    return True
