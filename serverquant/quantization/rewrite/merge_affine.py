"""Scales and shifts by channel (`quantization.affine`) behind each other become one.

With y = a1 x + s1 and z = a2 y + s2: z = (a2 a1) x + (a2 s1 + s2), written as SpatialBN. The
first one is a SpatialBN or AffineChannel, which says where the channels are; of those behind it Mul, Add and Sub need
the number of dimensions, which the Conv that the blob comes from has.
"""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.affine import EPSILON, NORMS, TYPES, Affine, add_norm, affine_of, channel_axis, order_of
from serverquant.quantization.net import Net, operator

SAME_RANK = (*NORMS, "Relu", "ReluN", "Clip", "Sum", "Concat", "MaxPool", "AveragePool", "LeakyRelu", "PRelu")
ANY_RANK = 4  # where nothing tells, and nothing depends on it


def apply(net: Net) -> int:
    return net.remove_while(_merge_one)


def norm(net: Net, x: str, y: str, affine: Affine, order: str) -> OperatorDef:
    """The SpatialBN that does this."""
    weights = add_norm(net, y, affine)
    return operator("SpatialBN", [x, *weights], [y], is_test=1, epsilon=EPSILON, order=order)


def _merge_one(net: Net) -> OperatorDef | None:
    readers, writers = net.readers(), net.writers()
    for op in net.ops:
        name = op.output[0] if op.output else ""
        if op.type not in NORMS or len(readers.get(name, [])) != 1 or name in net.kept:
            continue
        after = readers[name][0]
        rank = _rank(net, op.input[0], writers)
        if after.type not in (TYPES if rank else NORMS):
            continue
        ndim = rank or ANY_RANK
        channel, x = channel_axis(op, ndim), op.input[0]
        scale = net.weight(op.input[1])
        if scale is None:
            continue
        first = affine_of(net, op, x, scale.size, ndim, channel)
        second = affine_of(net, after, name, scale.size, ndim, channel)
        if first is not None and second is not None:
            op.CopyFrom(norm(net, x, after.output[0], second.behind(first), order_of(op)))
            return after
    return None


def _rank(net: Net, name: str, writers: dict[str, OperatorDef]) -> int | None:
    """How many dimensions a blob has, when it comes from a Conv by operators that leave them."""
    op = writers.get(name)
    while op is not None and op.type in SAME_RANK:
        op = writers.get(op.input[0])
    weight = net.weight(op.input[1]) if op is not None and op.type == "Conv" else None
    return None if weight is None else weight.ndim
