"""Schemas and shape rules of the operators that place, move or collect slices."""

from __future__ import annotations

import math
from typing import Any

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, axis_of

Dims = tuple[int, ...]
IN_PLACE = [(0, 0)]


# ---- into a tensor -------------------------------------------------------------------------------------------------


def scatter_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    dims, axis = ins[0].dims, axis_of(op.args.axis, ins[0].ndim)
    if ins[1].ndim != len(dims) or any(d != e for i, (d, e) in enumerate(zip(dims, ins[1].dims)) if i != axis):
        raise op.shape_error(ins, 1, f"the shape of the data, {dims}, axis {axis} aside")
    if ins[2].dims != ins[1].dims:
        raise op.shape_error(ins, 2, f"the shape of the indices, {ins[1].dims}")
    return [dims]


def check_updates(op: Any, ins: list[Spec], i: int, count: int) -> None:
    """Input i has `count` slices of input 0, in whatever shape."""
    rows = ins[0].dims[0] if ins[0].dims else 0
    wanted = math.prod(ins[0].dims[1:]) * count
    if not rows:
        raise op.shape_error(ins, 0, "at least one slice")
    if ins[i].size != wanted:
        raise op.shape_error(ins, i, f"{wanted} elements, {count} slices of input 0")


def scatter_assign_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    check_updates(op, ins, 2, ins[1].size)
    return [ins[0].dims]


def copy_rows_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions")
    if ins[1].ndim != 1:
        raise op.shape_error(ins, 1, "a vector")
    if ins[2].dims != ins[0].dims[1:]:
        # Programs look for these words of Caffe2's.
        words = "width of input tensor should match lengths of row"
        raise ShapeError(f"{words}: {op.input_text(ins, 0)}, {op.input_text(ins, 2)}")
    return [ins[0].dims]


SLICES = "slices: as many as there are indices, of the data's type"
declare(
    "Scatter",
    inputs=3,
    inplace=IN_PLACE,
    args=[Arg("axis", "int", 1, "axis that the indices count along; may count from the end")],
    shape=scatter_shape,
    doc="The data with updates put at indices along an axis; of several for one place the last one stays.",
    in_doc=(
        "data: tensor",
        "indices: int32 or int64, in the data's shape but for the axis",
        "updates: like the indices",
    ),
    out_doc=("output: tensor",),
)
declare(
    "ScatterAssign",
    inputs=3,
    inplace=IN_PLACE,
    shape=scatter_assign_shape,
    doc="Overwrites slices of a tensor, in place.",
    in_doc=("data: tensor", "indices: int32 or int64", SLICES),
    out_doc=("data: the blob of input 0",),
)
declare(
    "CopyRowsToTensor",
    inputs=3,
    inplace=IN_PLACE,
    shape=copy_rows_shape,
    doc="Overwrites some rows of a matrix with one row, in place.",
    in_doc=("input_tensor: (rows, columns)", "indices: int64, 1-D", "row: (columns), of the same type"),
    out_doc=("output_tensor: the blob of input 0",),
)


# ---- moved and collected -------------------------------------------------------------------------------------------


def permutation_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[1].ndim != 1 or ins[1].dims != ins[0].dims[:1]:
        raise op.shape_error(ins, 1, "one index for each slice of input 0")
    return [ins[0].dims]


def check_ranges(op: Any, ins: list[Spec]) -> None:
    if ins[0].ndim != 1:
        raise op.shape_error(ins, 0, "a vector")
    if ins[1].ndim != 3 or ins[1].dims[2] != 2 or not ins[1].dims[1]:
        raise op.shape_error(ins, 1, "(batch, ranges, 2): the starts and lengths of at least one range")


def dense_ranges_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    check_ranges(op, ins)
    lengths = op.args.lengths
    if len(lengths) != ins[1].dims[1] or len(lengths) != len(op.outputs):
        raise ShapeError(
            f"{len(lengths)} lengths, {ins[1].dims[1]} ranges and {len(op.outputs)} outputs; they must agree"
        )
    if len(ins) == 3 and ins[2].dims != ins[0].dims:
        raise op.shape_error(ins, 2, f"one key for each of the {ins[0].size} elements of the data")
    return [(ins[1].dims[0], n) for n in lengths]


def packed_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 3:
        raise op.shape_error(ins, 0, "3 dimensions: places, segments, embedding")
    if ins[1].dims != ins[0].dims[1:2]:
        raise op.shape_error(ins, 1, f"a length for each of the {ins[0].dims[1]} segments")
    return [ins[0].dims]


RANGES = "ranges: int32 or int64, (batch, ranges, 2): start and length"
declare(
    "BatchPermutation",
    inputs=2,
    shape=permutation_shape,
    doc="The slices of X in another order: slice i is X[indices[i]].",
    in_doc=("X: tensor", "indices: int32, one for each slice"),
    out_doc=("Y: tensor",),
)
declare(
    "GatherRanges",
    inputs=2,
    outputs=2,
    doc="The elements of data in ranges, one after the other.",
    in_doc=("data: 1-D tensor", RANGES),
    out_doc=("output: 1-D tensor", "lengths: int32, elements of each of the batch"),
)
declare(
    "GatherRangesToDense",
    inputs=(2, 3),
    outputs=(1, MANY),
    args=[
        Arg("lengths", "ints", [], "the length of each range; one that has another is not copied"),
        Arg("min_observation", "int", 10000, "the ratios count from so many of the batch on, in all runs"),
        Arg(
            "max_mismatched_ratio", "float", 0.01, "share of ranges with another length that is an error; 1 allows all"
        ),
        Arg("max_empty_ratio", "float", 1.0, "share of ranges without elements that is an error; 1 allows all"),
    ],
    shape=dense_ranges_shape,
    doc="The elements of data in ranges, each range into rows of an output of its own; rows of 0 where it is empty.",
    in_doc=("data: 1-D tensor", RANGES, "key: int64, one for each element; the elements of a range are sorted by it"),
    out_doc=("output_0, output_1, ...: (batch, length)",),
)
declare(
    "ReversePackedSegs",
    inputs=2,
    shape=packed_shape,
    doc="Turns the first elements of every segment around; those behind its length stay.",
    in_doc=("data: (places, segments, embedding)", "lengths: int32 or int64"),
    out_doc=("reversed data: tensor",),
)
