"""Schemas of the reductions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops._types import NUMBERS, REALS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, axis_of

Dims = tuple[int, ...]


class Reduction(NamedTuple):
    """first: kernel of the first group of axes, `then` of the others. finish: "", sqrt, scale (by f32(1/n)) or divide
    (by n)."""

    first: str
    then: str
    finish: str
    types: tuple[str, ...]
    doc: str


FLOAT = ("float",)

# By axes, or everything.
BY_AXES = {
    "ReduceSum": Reduction("reduce_sum", "reduce_sum", "", NUMBERS, "the sum"),
    "ReduceMean": Reduction("reduce_sum", "reduce_sum", "scale", FLOAT, "the mean"),
    "ReduceMax": Reduction("reduce_max", "reduce_max", "", NUMBERS, "the largest element"),
    "ReduceMin": Reduction("reduce_min", "reduce_min", "", NUMBERS, "the smallest element"),
    "ReduceL1": Reduction("reduce_abs", "reduce_sum", "", FLOAT, "the sum of absolute values"),
    "ReduceL2": Reduction("reduce_sqr", "reduce_sum", "sqrt", FLOAT, "the square root of the sum of squares"),
}
# The first or last axes, as many as num_reduce_dim says.
BY_SIDE = {
    "Sum": Reduction("reduce_sum", "reduce_sum", "", NUMBERS, "the sum"),
    "Mean": Reduction("reduce_sum", "reduce_sum", "divide", NUMBERS, "the mean"),
    "Max": Reduction("reduce_max", "reduce_max", "", FLOAT, "the largest element"),
}
# Everything, into one element without dims.
WHOLE = {
    "SumElements": Reduction("reduce_sum", "reduce_sum", "", FLOAT, "the sum"),
    "SumElementsInt": Reduction("reduce_sum", "reduce_sum", "", ("int32",), "the sum"),
    "SumSqrElements": Reduction("reduce_sqr", "reduce_sum", "", REALS, "the sum of squares"),
}


# ---- which axes ----------------------------------------------------------------------------------------------------


def axes_of(op: Any, ndim: int) -> list[int]:
    """The axes that go, for every type of this file."""
    if op.type in BY_AXES:
        return sorted({axis_of(a, ndim, "axes") for a in op.args.axes}) if op.args.axes else list(range(ndim))
    if op.type in WHOLE:
        return list(range(ndim))
    if op.type in ("RowwiseMax", "ColwiseMax"):
        return [2 if op.type == "RowwiseMax" else 1]
    if op.type == "ReduceTailSum":
        return list(range(1, ndim))
    count = op.args.num_reduce_dim
    if not 0 <= count <= ndim:
        raise ArgumentError(f"argument num_reduce_dim is {count}, but the input has {ndim} dimensions")
    return list(range(count)) if "Front" in op.type else list(range(ndim - count, ndim))


def keeps_dims(op: Any) -> bool:
    """Whether a reduced axis stays, with one element."""
    return op.type in BY_AXES and op.args.keepdims


def reduce_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if op.type in ("RowwiseMax", "ColwiseMax") and ins[0].ndim != 3:
        raise op.shape_error(ins, 0, "3 dimensions")
    if op.type == "ReduceTailSum" and ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "at least one dimension")
    axes = axes_of(op, ins[0].ndim)
    if keeps_dims(op):
        return [tuple(1 if a in axes else d for a, d in enumerate(ins[0].dims))]
    return [tuple(d for a, d in enumerate(ins[0].dims) if a not in axes)]


def side_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    dims = reduce_shape(op, ins)
    if len(ins) == 2:
        if op.args.num_reduce_dim != 1:
            raise ArgumentError(f"argument num_reduce_dim is {op.args.num_reduce_dim}, but must be 1 with lengths")
        if ins[1].size != math.prod(dims[0]):
            raise op.shape_error(ins, 1, f"one length for each of the {math.prod(dims[0])} elements of the output")
    return dims


DATA, REDUCED = "data: tensor of {}", ("reduced: tensor",)

for _name, _reduction in BY_AXES.items():
    declare(
        _name,
        inputs=1,
        args=[
            Arg("axes", "ints", [], "axes to reduce, which may count from the end; all without it"),
            Arg("keepdims", "bool", True, "a reduced axis stays, with one element"),
        ],
        shape=reduce_shape,
        doc=f"{_reduction.doc[0].upper()}{_reduction.doc[1:]} over axes.",
        in_doc=(DATA.format(", ".join(_reduction.types)),),
        out_doc=REDUCED,
    )
for _side, _which in (("Front", "first"), ("Back", "last")):
    for _name, _reduction in BY_SIDE.items():
        declare(
            f"Reduce{_side}{_name}",
            inputs=(1, 2),
            args=[Arg("num_reduce_dim", "int", 1, f"how many of the {_which} axes are reduced")],
            shape=side_shape,
            doc=f"{_reduction.doc[0].upper()}{_reduction.doc[1:]} over the {_which} axes; 0 of nothing. With lengths "
            f"only so many of the {_which} axis' elements count (the first one always does), and a mean is divided by "
            "the length.",
            in_doc=(DATA.format(", ".join(_reduction.types)), "lengths: int32, one for each element of the output"),
            out_doc=REDUCED,
        )
for _name, _reduction in WHOLE.items():
    declare(
        _name,
        inputs=1,
        args=[] if _name == "SumElementsInt" else [Arg("average", "bool", False, "divided by the number of elements")],
        shape=reduce_shape,
        doc=f"{_reduction.doc[0].upper()}{_reduction.doc[1:]} of all elements.",
        in_doc=(DATA.format(", ".join(_reduction.types)),),
        out_doc=("reduced: one element without dimensions",),
    )
declare(
    "ReduceTailSum",
    inputs=1,
    shape=reduce_shape,
    doc="The sum over all axes but the first.",
    in_doc=("mat: float tensor (N, ...)",),
    out_doc=("output: (N)",),
)
declare(
    "RowwiseMax",
    inputs=1,
    shape=reduce_shape,
    doc="The largest element of each row.",
    in_doc=("X: float tensor (batch, M, N)",),
    out_doc=("Y: (batch, M)",),
)
declare(
    "ColwiseMax",
    inputs=1,
    shape=reduce_shape,
    doc="The largest element of each column.",
    in_doc=("X: float tensor (batch, M, N)",),
    out_doc=("Y: (batch, N)",),
)


# ---- places --------------------------------------------------------------------------------------------------------


def one_axis(op: Any, ins: list[Spec]) -> int:
    """Argument axis, where -1 is the last one and no other counts from the end."""
    if op.args.axis < -1:
        raise ArgumentError(f"argument axis is {op.args.axis}, but only -1 counts from the end")
    return axis_of(op.args.axis, ins[0].ndim)


def arg_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis, dims = one_axis(op, ins), ins[0].dims
    return [dims[:axis] + ((1,) if op.args.keepdims else ()) + dims[axis + 1 :]]


def top_k_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    axis, dims, k = one_axis(op, ins), ins[0].dims, op.args.k
    if len(ins) == 2:
        if ins[1].size != 1:
            raise op.shape_error(ins, 1, "one element")
        if ins[1].value is None:
            return None
        k = int(ins[1].value.flat[0])
    return top_k_dims(dims, axis, k)


def top_k_dims(dims: Dims, axis: int, k: int) -> list[Dims]:
    """Shapes of the values, their places and their places in the whole tensor."""
    if k < 1:
        raise ArgumentError(f"k is {k}, but must be at least 1")
    out = (*dims[:axis], k, *dims[axis + 1 :])
    return [out, out, (math.prod(out),)]


for _name, _what in (("ArgMax", "largest"), ("ArgMin", "smallest")):
    declare(
        _name,
        inputs=1,
        args=[
            Arg("axis", "int", -1, "the axis to search; -1 is the last"),
            Arg("keepdims", "bool", True, "the axis stays, with one element"),
        ],
        shape=arg_shape,
        doc=f"The place of the {_what} element along an axis, of equal ones the first; 0 where the axis is empty.",
        in_doc=(f"X: tensor of {', '.join(NUMBERS)}",),
        out_doc=("Indices: int64",),
    )
declare(
    "TopK",
    inputs=(1, 2),
    outputs=(2, 3),
    args=[
        Arg("k", "int", -1, "how many; a second input takes its place"),
        Arg("axis", "int", -1, "the axis to search; -1 is the last"),
    ],
    shape=top_k_shape,
    doc="The k largest elements along an axis in falling order, of equal ones the first first. Where the axis has "
    "fewer, the rest is 0, and its places are -1.",
    in_doc=("X: float tensor", "k: one int64"),
    out_doc=("Values: float", "Indices: int64, places along the axis", "Flattened indices: int64, places in X"),
)
