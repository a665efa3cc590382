"""Which elements of two inputs meet: Caffe2's old rule and numpy's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.runtime.schema import Arg

BROADCAST_ARGS = (
    Arg("broadcast", "bool", False, "old rule: the second input's dims are those of the first from `axis` on"),
    Arg("axis", "int", None, "first axis of the old rule; trailing dims without it"),
    Arg("axis_str", "string", None, "the axis by its letter in `order`, such as C"),
    Arg("order", "string", "NCHW", "NCHW or NHWC, for axis_str"),
)


class Middle(NamedTuple):
    """The first input seen as (pre, mid, post); the second one has mid elements."""

    pre: int
    mid: int
    post: int


def old_rule(op: Any, ins: list[Spec]) -> Middle:
    """Match the second input's dims with the first's from an axis on. Trailing dims of 1 of the second do not count."""
    a, b = ins[0].dims, ins[1].dims
    axis = op.args.axis
    if op.args.axis_str is not None:
        axis = op.args.order.find(op.args.axis_str) if len(op.args.axis_str) == 1 else -1
        if axis < 0:
            raise ArgumentError(f"argument axis_str is {op.args.axis_str!r}, no letter of order {op.args.order}")
    if axis is None or axis < 0:
        axis = len(a) - len(b)
    kept = list(b)
    while kept and kept[-1] == 1 and a[axis : axis + len(kept)] != tuple(kept):
        kept.pop()
    if axis < 0 or a[axis : axis + len(kept)] != tuple(kept):
        raise op.shape_error(ins, 1, f"dims of input 0, {a}, from axis {axis} on")
    return Middle(math.prod(a[:axis]), math.prod(kept), math.prod(a[axis + len(kept) :]))


def joint_dims(op: Any, ins: list[Spec]) -> tuple[int, ...]:
    """numpy's rule: dims are aligned at the end, and one of each pair may be 1."""
    a, b = ins[0].dims, ins[1].dims
    n = max(len(a), len(b))
    joint = []
    for x, y in zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b):
        if x != y and 1 not in (x, y):
            raise op.shape_error(ins, 1, f"dims that go with those of input 0, {a}: equal, or 1, counted from the end")
        joint.append(y if x == 1 else x)
    return tuple(joint)


def binary_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    """Shape rule: input 0's dims by the old rule, joint dims by numpy's."""
    if op.args.broadcast:
        old_rule(op, ins)
        return [ins[0].dims]
    return [joint_dims(op, ins)]


def strides(dims: tuple[int, ...], joint: tuple[int, ...]) -> list[int]:
    """Strides in elements of an input of `dims` over the joint dims; 0 where it repeats."""
    result, step = [0] * len(joint), 1
    for i in range(1, len(dims) + 1):
        if dims[-i] != 1:
            result[-i] = step
        step *= dims[-i]
    return result
