"""Schemas of the operators on Int8 tensors that give the same elements another shape or order."""

from __future__ import annotations

from serverquant.ops.dnnlowp.kept import KEPT_ARGS
from serverquant.ops.shape.schema import flatten_shape, reshape_shape, transpose_shape
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg

declare(
    "Int8Reshape",
    inputs=(1, 2),
    outputs=(1, 2),
    inplace=[(0, 0)],
    args=[Arg("shape", "ints", [], "new shape: 0 keeps the dim at that place, one -1 takes what is left"), *KEPT_ARGS],
    shape=reshape_shape,
    doc="The same elements in another shape, which is an argument or the second input.",
    in_doc=("data: Int8 of uint8", "new_shape: int32 or int64, instead of the argument"),
    out_doc=("reshaped: Int8 of uint8", "old_shape: int64, the input's dims"),
)
declare(
    "Int8Flatten",
    inputs=1,
    inplace=[(0, 0)],
    args=[Arg("axis", "int", 1, "dims before it become the first output dim"), *KEPT_ARGS],
    shape=flatten_shape,
    doc="The same elements as a matrix.",
    in_doc=("input: Int8 of uint8",),
    out_doc=("output: Int8 of uint8, 2-D",),
)
declare(
    "Int8Transpose",
    inputs=(1, 2),
    args=[Arg("axes", "ints", [], "input axis of each output axis; reversed order without it"), *KEPT_ARGS],
    shape=transpose_shape,
    doc="Permutes the axes.",
    in_doc=("X: Int8 of uint8", "unused"),
    out_doc=("Y: Int8 of uint8",),
)
