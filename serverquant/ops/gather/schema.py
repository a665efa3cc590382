"""Schemas and shape rules of Gather and BatchGather."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, axis_of

Dims = tuple[int, ...]


def gather_axis(op: Any, ndim: int) -> int:
    """The canonical axis; BatchGather has axis 1."""
    return axis_of(getattr(op.args, "axis", 1), ndim)


def wraps(op: Any) -> bool:
    """Whether indices below 0 count from the end: for Gather by default if the argument axis is 0, as in Caffe2."""
    if not hasattr(op.args, "axis"):
        return False
    return op.args.wrap_indices if op.given("wrap_indices") else op.args.axis == 0


def gather_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    data, indices = ins[0].dims, ins[1].dims
    axis = gather_axis(op, ins[0].ndim)
    if data[axis] == 0:  # a batch without rows stays one, whatever the indices
        return [data]
    if op.args.match_outer:
        if axis == 0:
            raise ArgumentError("match_outer=1 needs an axis of at least 1")
        if data[:axis] != indices[:axis]:
            raise op.shape_error(ins, 1, f"the first {axis} dims of the data, {data[:axis]}, with match_outer=1")
        indices = indices[axis:]
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def gather_values(op: Any, ins: list[Spec]) -> Any:
    if op.args.match_outer or ins[0].value is None or ins[1].value is None:
        return None
    data, indices = ins[0].value, ins[1].value
    axis = gather_axis(op, data.ndim)
    dim = data.shape[axis]
    if dim == 0:
        return data
    lowest = -dim if wraps(op) else 0
    bad = [int(i) for i in indices.flat if not lowest <= i < dim]
    if bad:
        raise ShapeError(f"index {bad[0]} is out of range for axis {axis} of {dim} elements")
    return np.take(data, indices, axis)


MATCH_OUTER = Arg("match_outer", "bool", False, "dims before the axis are shared by data and indices")
declare(
    "Gather",
    "Int8Gather",
    inputs=2,
    args=[
        Arg("axis", "int", 0, "axis that the indices count along; may count from the end"),
        MATCH_OUTER,
        Arg("wrap_indices", "bool", None, "indices below 0 count from the end; default: if axis is 0"),
        *OUTPUT_ARGS,
        *ARGS,
    ],
    shape=gather_shape,
    values=gather_values,
    doc="Output = the slices of data at the indices.",
    in_doc=("DATA: tensor", "INDICES: int32 or int64 of any shape"),
    out_doc=("OUTPUT: dims before the axis, the indices' dims, dims behind the axis",),
)
declare(
    "BatchGather",
    inputs=2,
    args=[MATCH_OUTER],
    shape=gather_shape,
    doc="Output = the slices of data at the indices, along axis 1.",
    in_doc=("DATA: tensor, at least 2-D", "INDICES: int32 or int64 of any shape"),
    out_doc=("OUTPUT: the batch, the indices' dims, dims behind axis 1",),
)


def decoded_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if len(op.outputs) != len(ins) - 1:
        raise ArgumentError(f"{len(ins) - 1} inputs of codes give as many outputs, not {len(op.outputs)}")
    return [codes.dims for codes in ins[1:]]


declare(
    "QuantDecode",
    inputs=(2, MANY),
    outputs=(1, MANY),
    shape=decoded_shape,
    doc="""The values that codes stand for: Y[...] = codebook[codes[...]].

A code past the codebook is an error; Caffe2 reads whatever memory holds there.""",
    in_doc=["codebook: float, seen as one row", "codes, one or more: uint8, uint16 or int32, of any shape"],
    out_doc=["Y, one for each input of codes: float, the codes' shape"],
)
