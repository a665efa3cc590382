"""Schemas and shape rules of the operators between sparse and dense forms."""

from __future__ import annotations

import math
from typing import Any

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg

Dims = tuple[int, ...]


# ---- sparse to dense and back --------------------------------------------------------------------------------------


def sparse_to_dense_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    if ins[0].ndim != 1 or ins[1].dims[:1] != ins[0].dims:
        raise op.shape_error(ins, 1, f"one value for each of the indices, a vector ({ins[0].dims})")
    if len(ins) == 3:
        if not ins[2].dims:
            raise op.shape_error(ins, 2, "at least one dimension")
        return [(ins[2].dims[0], *ins[1].dims[1:])]
    return [(op.args.output_first_dim, *ins[1].dims[1:])] if op.args.output_first_dim > 0 else None


def mask_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    indices, values, default = ins[:3]
    if indices.ndim != 1 or values.dims[:1] != indices.dims:
        raise op.shape_error(ins, 1, f"one value for each of the indices, a vector ({indices.dims})")
    if default.dims != values.dims[1:]:
        raise op.shape_error(ins, 2, f"the shape of one value, {values.dims[1:]}")
    rows: Dims = ()
    if len(ins) == 4:
        if ins[3].ndim != 1:
            raise op.shape_error(ins, 3, "a vector")
        rows = ins[3].dims
    columns = (*rows, len(op.args.mask))
    return [(*columns, *default.dims), columns]


def batch_to_dense_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    for i in (0, 1):
        if ins[i].ndim != 1:
            raise op.shape_error(ins, i, "a vector")
    if ins[2].size != ins[1].size:
        raise op.shape_error(ins, 2, f"one value for each of the {ins[1].size} indices")
    width = op.args.dense_last_dim
    if len(ins) == 4:
        if ins[3].ndim != 2 or width not in (-1, ins[3].dims[1]):
            raise op.shape_error(ins, 3, "2 dimensions, the last one dense_last_dim if that is given")
        width = ins[3].dims[1]
    elif width < 1:
        raise ShapeError(f"argument dense_last_dim is {width}; without a fourth input it must be at least 1")
    return [(ins[0].dims[0], width)]


def batch_to_sparse_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    for i in (0, 1):
        if ins[i].ndim != 1:
            raise op.shape_error(ins, i, "a vector")
    if ins[2].ndim != 2 or ins[2].dims[0] != ins[0].dims[0]:
        raise op.shape_error(ins, 2, f"2 dimensions, {ins[0].dims[0]} rows, one for each length")
    return [ins[1].dims]


INDICES = "indices: int32 or int64, 1-D"
declare(
    "SparseToDense",
    inputs=(2, 3),
    args=[
        Arg("output_first_dim", "int", 0, "rows of the output; without it those of input 2, else the largest index + 1")
    ],
    shape=sparse_to_dense_shape,
    doc="Adds values up at their indices.",
    in_doc=(
        INDICES,
        "values: float, int32 or int64, one slice for each index",
        "data_to_infer_dim: gives the first dim",
    ),
    out_doc=("output: tensor of the values' type",),
)
declare(
    "SparseToDenseMask",
    inputs=(3, 4),
    outputs=(1, 2),
    args=[
        Arg("mask", "ints", [], "the ids of the output's columns, all different"),
        Arg("return_presence_mask", "bool", False, "output 1 says which columns were there"),
        Arg("max_skipped_indices", "int", 50, "so many rows with ids below 0, in all runs, are an error"),
    ],
    shape=mask_shape,
    doc="Sorts values by their ids into columns; the default stands where there is none. Of several the last one wins.",
    in_doc=(
        INDICES,
        "values: tensor, one slice for each index",
        "default_value: one slice",
        "lengths: int32, ids of each row",
    ),
    out_doc=(
        "output: (rows, columns, ...), without rows if there are no lengths",
        "presence_mask: bool (rows, columns)",
    ),
)
declare(
    "BatchSparseToDense",
    inputs=(3, 4),
    args=[
        Arg("dense_last_dim", "int", -1, "columns of the output; those of input 3 without it"),
        Arg("default_value", "float", 0.0, "where no value is"),
    ],
    shape=batch_to_dense_shape,
    doc="Puts the values of every row into their columns.",
    in_doc=(
        "lengths: int64, values of each row",
        "indices: int64 columns",
        "values: float",
        "dense: (rows, columns), its shape",
    ),
    out_doc=("dense: float (rows, columns)",),
)
declare(
    "BatchDenseToSparse",
    inputs=3,
    shape=batch_to_sparse_shape,
    doc="Takes the values of every row from their columns.",
    in_doc=("lengths: int64, values of each row", "indices: int64 columns", "dense: float (rows, columns)"),
    out_doc=("values: float, one for each index",),
)
declare(
    "DenseVectorToIdList",
    inputs=1,
    outputs=2,
    doc="The columns of the elements that round to something else than 0, row by row.",
    in_doc=("X: float, (rows, columns)",),
    out_doc=("lengths: int32, columns found in each row", "values: int32, the columns"),
)


# ---- one-hot codes -------------------------------------------------------------------------------------------------


def size_of(op: Any, ins: list[Spec], i: int) -> int | None:
    """The number in input i, which has one element."""
    if ins[i].size != 1:
        raise op.shape_error(ins, i, "one element, the size of the index")
    found = ins[i].value
    return None if found is None else int(found.ravel()[0])


def one_hot_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    if ins[0].ndim != 1:
        raise op.shape_error(ins, 0, "a vector")
    size = size_of(op, ins, 1)
    return None if size is None else [(ins[0].dims[0], size)]


def segment_one_hot_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    for i in (0, 1):
        if ins[i].ndim != 1:
            raise op.shape_error(ins, i, "a vector")
    size = size_of(op, ins, 2)
    if size is not None and size < 1:
        raise ShapeError(f"the size of the index is {size}; it must be at least 1")
    return None if size is None else [(ins[0].dims[0], size)]


def check_columns(op: Any, ins: list[Spec]) -> None:
    """Input 0 is a batch of rows, input 1 a length for each column."""
    if not ins[0].dims or ins[1].size != math.prod(ins[0].dims[1:]):
        raise op.shape_error(ins, 1, f"one length for each column of input 0 {ins[0].dims}")


def batch_one_hot_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    check_columns(op, ins)
    return [(ins[0].dims[0], ins[2].size)]


def bucket_one_hot_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    check_columns(op, ins)
    return [(ins[0].dims[0], ins[2].size + ins[1].size)]


declare(
    "OneHot",
    inputs=2,
    shape=one_hot_shape,
    doc="A row for each index: 1 at the index, 0 elsewhere.",
    in_doc=("indices: int64, 1-D", "index_size_tensor: int64, one element"),
    out_doc=("one_hots: float (indices, index size)",),
)
declare(
    "SegmentOneHot",
    inputs=3,
    shape=segment_one_hot_shape,
    doc="A row for each segment: 1 at its indices, 0 elsewhere.",
    in_doc=("lengths: int32, indices of each segment", "indices: int64", "index_size_tensor: int64, one element"),
    out_doc=("one_hots: float (segments, index size)",),
)
declare(
    "BatchOneHot",
    inputs=3,
    shape=batch_one_hot_shape,
    doc="Every column becomes as many as it has values: 1 where it is that value, 0 elsewhere.",
    in_doc=(
        "data: int32 or int64, (rows, columns)",
        "lengths: int32, values of each column",
        "values: of the data's type",
    ),
    out_doc=("output: (rows, values), of the data's type",),
)
declare(
    "BatchBucketOneHot",
    inputs=3,
    shape=bucket_one_hot_shape,
    doc="Every column becomes as many as its boundaries make buckets: 1 in its bucket, 0 elsewhere. A boundary is the "
    "end of the bucket below it; of equal ones the middle one counts.",
    in_doc=(
        "data: float, (rows, columns)",
        "lengths: int32, boundaries of each column",
        "boundaries: float, ascending",
    ),
    out_doc=("output: float (rows, buckets)",),
)


# ---- elements ------------------------------------------------------------------------------------------------------


def unique_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    if ins[0].ndim != 1:
        raise op.shape_error(ins, 0, "a vector")
    return None if ins[0].size > 1 else [ins[0].dims] * len(op.outputs)


declare(
    "Unique",
    inputs=1,
    outputs=(1, 2),
    shape=unique_shape,
    doc="The different elements, in ascending order.",
    in_doc=("indices: int32 or int64, 1-D",),
    out_doc=("unique_indices: the elements", "remapping: int32, place of each input among them"),
)
declare(
    "FindDuplicateElements",
    inputs=1,
    doc="Places of the elements that were there before.",
    in_doc=("data: 1-D; float, double, int32, int64 or strings",),
    out_doc=("indices: int64",),
)
