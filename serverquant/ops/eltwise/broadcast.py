"""Which elements of two inputs meet: Caffe2's old rule and numpy's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.runtime.schema import Arg

BROADCAST_ARGS = (
    Arg("broadcast", "bool", False, "old rule: the second input's dims are those of the first from `axis` on"),
    Arg("axis", "int", -1, "first axis of the old rule; -1: trailing dims"),
    Arg("axis_str", "string", "", "the axis by its letter in `order`, such as C"),
    Arg("order", "string", "NCHW", "NCHW or NHWC, for axis_str"),
)


class Middle(NamedTuple):
    """The first input seen as (pre, mid, post); the second one has mid elements."""

    pre: int
    mid: int
    post: int


class Grid(NamedTuple):
    """Dims of the output and each input's strides over them in elements, 0 where it repeats.

    rows: the step's `rows`. Only dims[0] changes with a batch that it allows.
    """

    rows: int
    dims: list[int]
    a_strides: list[int]
    b_strides: list[int]


def old_axis(op: Any) -> int:
    """The axis that the arguments name; -1: trailing dims."""
    args = op.args
    if not args.axis_str:
        return args.axis
    if args.axis != -1:
        raise ArgumentError("arguments axis and axis_str cannot be given together")
    axis = args.order.find(args.axis_str) if len(args.axis_str) == 1 else -1
    if axis < 0:
        raise ArgumentError(f"argument axis_str is {args.axis_str!r}, no letter of order {args.order}")
    return axis


def old_rule(op: Any, ins: list[Spec]) -> Middle:
    """Match the second input's dims with the first's from an axis on. Its dims of 1 at either end do not count, and a
    single element goes everywhere."""
    a, b = ins[0].dims, ins[1].dims
    axis = old_axis(op)
    if math.prod(b) == 1:
        return Middle(math.prod(a), 1, 1)
    axis = len(a) - len(b) if axis == -1 else axis
    begin, end = 0, len(b)
    while begin < end and b[begin] == 1:
        begin += 1
    while end > begin and b[end - 1] == 1:
        end -= 1
    if not 0 <= axis <= len(a) - len(b) or a[axis + begin : axis + end] != b[begin:end]:
        raise op.shape_error(ins, 1, f"dims of input 0, {a}, from axis {axis} on")
    return Middle(math.prod(a[: axis + begin]), math.prod(b), math.prod(a[axis + end :]))


def joint_dims(op: Any, ins: list[Spec], i: int = 0, k: int = 1) -> tuple[int, ...]:
    """numpy's rule: dims are aligned at the end, and one of each pair may be 1."""
    a, b = ins[i].dims, ins[k].dims
    n = max(len(a), len(b))
    joint = []
    for x, y in zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b):
        if x != y and 1 not in (x, y):
            raise op.shape_error(
                ins, k, f"dims that go with those of input {i}, {a}: equal, or 1, counted from the end"
            )
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


def middle_grid(middle: Middle) -> Grid:
    """Input 0 is (pre, mid, post), input 1 (mid)."""
    pre, mid, post = middle
    return Grid(int(pre > 1), [pre, mid, post], [mid * post, post, 1], [0, 1 if mid > 1 else 0, 0])


def joint_grid(a: tuple[int, ...], b: tuple[int, ...], joint: tuple[int, ...]) -> Grid:
    """numpy's rule."""
    if a == b:
        return Grid(3, [math.prod(joint)], [1], [1])
    a_strides, b_strides = strides(a, joint), strides(b, joint)
    rows = (1 if a_strides[0] else 0) | (2 if b_strides[0] else 0)
    return Grid(rows, list(joint), a_strides, b_strides)


def binary_grid(op: Any, ins: list[Spec], joint: tuple[int, ...]) -> Grid:
    """The grid of an operator with BROADCAST_ARGS."""
    if op.args.broadcast and ins[0].dims != ins[1].dims:
        return middle_grid(old_rule(op, ins))
    return joint_grid(ins[0].dims, ins[1].dims, joint)
