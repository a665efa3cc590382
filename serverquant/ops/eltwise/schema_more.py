"""Schemas of the operators of more.py."""

from __future__ import annotations

import math
from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.eltwise.broadcast import old_rule
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, axis_of, same_as_first

Dims = tuple[int, ...]


def where_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[2].dims != ins[1].dims:
        raise op.shape_error(ins, 2, f"the shape of input 1, {ins[1].dims}")
    wanted = ins[1].dims[:1] if op.args.broadcast_on_rows else ins[1].dims
    if ins[0].dims != wanted:
        raise op.shape_error(ins, 0, f"shape {wanted}")
    return [ins[1].dims]


def weighted_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if len(ins) % 2:
        raise ArgumentError(f"takes pairs of tensors and weights, not {len(ins)} inputs")
    for i, spec in enumerate(ins):
        if i % 2 and spec.size != 1:
            raise op.shape_error(ins, i, "one element, the weight of the input before")
        if spec.size != ins[0].size and i % 2 == 0:
            raise op.shape_error(ins, i, f"as many elements as input 0 has, {ins[0].size}")
    return [ins[0].dims]


def scatter_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if len(ins) % 2 == 0 or len(ins) < 3:
        raise ArgumentError(f"takes X_0, weight_0, indices and pairs of tensors and weights, not {len(ins)} inputs")
    if op.inputs[0] != op.outputs[0]:
        raise ArgumentError(f'works in place only: its output must be "{op.inputs[0]}"')
    if not ins[0].dims:
        raise op.shape_error(ins, 0, "at least one dimension")
    count = ins[2].size * math.prod(ins[0].dims[1:])
    for i in (1, *range(4, len(ins), 2)):
        if ins[i].size != 1:
            raise op.shape_error(ins, i, "one element, a weight")
    for i in range(3, len(ins), 2):
        if ins[i].size != count:
            raise op.shape_error(ins, i, f"{count} elements: a slice of input 0 for each index")
    return [ins[0].dims]


def glu_axis(op: Any, ins: list[Spec]) -> int:
    axis = axis_of(op.args.dim, ins[0].ndim, "dim")
    if ins[0].dims[axis] % 2:
        raise op.shape_error(ins, 0, f"an even number of elements along axis {axis}")
    return axis


def glu_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis = glu_axis(op, ins)
    dims = list(ins[0].dims)
    dims[axis] //= 2
    return [tuple(dims)]


def box_cox_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "at least one dimension")
    columns = math.prod(ins[0].dims[1:])
    for i in (1, 2):
        if ins[i].size != columns:
            raise op.shape_error(ins, i, f"one value for each of the {columns} columns of input 0")
    return [ins[0].dims]


def square_root_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if not ins[0].dims or ins[1].dims[:1] != ins[0].dims[:1]:
        raise op.shape_error(ins, 1, f"one value for each row of input 0, {ins[0].dims}")
    return [ins[0].dims]


def sum_like_parts(op: Any, ins: list[Spec]) -> tuple[int, int, int]:
    """Input 0 as (before, what stays, behind)."""
    return (1, 1, ins[0].size) if ins[1].size == 1 else old_rule(op, ins)


def sum_like_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    sum_like_parts(op, ins)
    return [ins[1].dims]


X, Y = ("X: float tensor",), ("Y: tensor of X's shape",)

declare(
    "Where",
    inputs=3,
    inplace=[(1, 0), (2, 0)],
    args=[Arg("broadcast_on_rows", "bool", False, "one condition for each row")],
    shape=where_shape,
    doc="Z = X where C, else Y.",
    in_doc=("C: bool, of X's shape or (rows)", "X: tensor of float, double, int32, int64, bool, string", "Y: as X"),
    out_doc=("Z: tensor of X's shape",),
)
declare(
    "WeightedSum",
    inputs=(2, MANY),
    inplace=[(0, 0)],
    args=[Arg("grad_on_w", "bool", False, "for training only")],
    shape=weighted_shape,
    doc="output = X_0 * weight_0 + X_1 * weight_1 + ..., added from left to right.",
    in_doc=("X_0, weight_0, X_1, weight_1, ...: float tensors of one size, each with its weight",),
    out_doc=("output: tensor of X_0's shape",),
)
declare(
    "ScatterWeightedSum",
    inputs=(3, MANY),
    inplace=[(0, 0)],
    shape=scatter_shape,
    doc="The slices of X_0 at indices become X_0 * weight_0 + X_1 * weight_1 + ..., one index after the other.",
    in_doc=("X_0: float tensor", "weight_0: one", "indices: int32 or int64", "X_1, weight_1, ...: slices and weights"),
    out_doc=("X_0: the same blob",),
)
declare(
    "Glu",
    inputs=1,
    args=[Arg("dim", "int", -1, "the axis that is cut in halves")],
    shape=glu_shape,
    doc="Y = first half of X times the sigmoid of the second.",
    in_doc=X,
    out_doc=("Y: tensor with half of X's elements along `dim`",),
)
declare(
    "BatchBoxCox",
    inputs=3,
    inplace=[(0, 0)],
    args=[Arg("min_block_size", "int", 256, "not used")],
    shape=box_cox_shape,
    doc="With t = max(data + lambda2, 1e-6) for each column: output = ln(t) where lambda1 is 0, else "
    "(t ^ lambda1 - 1) / lambda1.",
    in_doc=("data: float tensor (N, ...)", "lambda1: one value a column", "lambda2: one value a column"),
    out_doc=("output: tensor of data's shape",),
)
declare(
    "SquareRootDivide",
    inputs=2,
    inplace=[(0, 0)],
    shape=square_root_shape,
    doc="Y = data, each row divided by the square root of its scale, if that is not 0.",
    in_doc=("data: float tensor (N, ...)", "scale: float, int32 or int64 (N), not negative"),
    out_doc=("Y: tensor of data's shape",),
)
declare(
    "PiecewiseLinearTransform",
    inputs=(1, 4),
    args=[
        Arg("bounds", "floats", [], "borders of the pieces, for each column one more than pieces, in rising order"),
        Arg("slopes", "floats", [], "slopes of the pieces"),
        Arg("intercepts", "floats", [], "values of the pieces at 0"),
        Arg("binary", "bool", False, "two classes: column 1 is transformed, column 0 becomes 1 less that"),
    ],
    shape=same_as_first,
    doc="Each column goes through a function of linear pieces; beyond its borders the function is constant.",
    in_doc=("predictions: float (N, M)", "bounds, slopes, intercepts: instead of the arguments"),
    out_doc=("transforms: tensor of the predictions' shape",),
)
STUMP = [Arg("threshold", "float", 0.0, "the border, which belongs to the lower side")]
declare(
    "StumpFunc",
    inputs=1,
    args=[*STUMP, Arg("low_value", "float", 0.0, "at or below"), Arg("high_value", "float", 0.0, "above")],
    shape=same_as_first,
    doc="Y = low_value up to the threshold, else high_value.",
    in_doc=X,
    out_doc=Y,
)
declare(
    "StumpFuncIndex",
    inputs=1,
    outputs=2,
    args=STUMP,
    doc="The places of the elements up to the threshold, and of those above.",
    in_doc=X,
    out_doc=("low: int64", "high: int64"),
)
declare(
    "MakeTwoClass",
    inputs=1,
    shape=lambda op, ins: [(*ins[0].dims, 2)],
    doc="Y = (1 - X, X), side by side.",
    in_doc=X,
    out_doc=("Y: tensor of X's shape and a last dim of 2",),
)
declare(
    "WeightScale",
    inputs=2,
    inplace=[(0, 0), (1, 1)],
    args=[
        Arg("stepsize", "payload", None, "every so many iterations"),
        Arg("upper_bound_iter", "payload", None, "before this iteration"),
        Arg("scale", "float", 1.0, "the factor"),
    ],
    shape=same_as_first,
    doc="nw = w * scale when iter + 1 is a multiple of stepsize below upper_bound_iter, else w.",
    in_doc=("w: float tensor", "iter: one int64"),
    out_doc=("nw: tensor of w's shape",),
)
declare(
    "ScaleBlobs",
    inputs=(1, MANY),
    outputs=(1, MANY),
    inplace="any",
    args=[Arg("scale", "float", 1.0, "the factor")],
    shape=lambda op, ins: [spec.dims for spec in ins],
    doc="Each output is its input times scale.",
    in_doc=("blobs: float tensors",),
    out_doc=("blobs: as many tensors of the same shapes",),
)
declare(
    "Find",
    inputs=2,
    args=[Arg("missing_value", "int", -1, "for what is not there")],
    shape=lambda op, ins: [ins[1].dims],
    doc="The last place in index of each query.",
    in_doc=("index: int32 or int64", "query: of index's type"),
    out_doc=("query_indices: tensor of query's shape and type",),
)
declare(
    "IsMemberOf",
    inputs=1,
    args=[
        Arg("value", "payload", None, "the set, integers or strings"),
        Arg("dtype", "int", None, "the set's data type, which must be X's"),
    ],
    shape=same_as_first,
    doc="Y = whether X is in the set.",
    in_doc=("X: tensor of int32, int64, bool, string",),
    out_doc=("Y: bool tensor of X's shape",),
)
declare(
    "SumReduceLike",
    inputs=2,
    inplace=[(0, 0)],
    args=[
        Arg("axis", "int", -1, "where B's dims begin in A; -1: trailing dims"),
        Arg("axis_str", "string", "", "the axis by its letter in `order`, such as C"),
        Arg("order", "string", "NCHW", "NCHW or NHWC, for axis_str"),
    ],
    shape=sum_like_shape,
    doc="The sum of A over the axes that B does not have; over all if B has one element.",
    in_doc=("A: tensor of float, double", "B: its shape counts"),
    out_doc=("C: tensor of B's shape",),
)
