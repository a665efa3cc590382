"""Schemas of the operators that work by a mask."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, same_as_first

Dims = tuple[int, ...]


def unmask_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    for i, spec in enumerate(ins):
        if spec.ndim != 1 or (i % 2 == 0 and spec.dims != ins[0].dims):
            raise op.shape_error(ins, i, "a vector" + ("" if i % 2 else f" as long as the first mask, {ins[0].size}"))
    return [ins[0].dims]


def scalar_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    return [()]


declare(
    "BooleanMask",
    inputs=2,
    outputs=(1, 2),
    doc="The slices of data where the mask is true.",
    in_doc=("data: tensor, at least 1-D", "mask: bool, one for each slice"),
    out_doc=("masked_data: tensor", "masked_indices: int64, their places"),
)
declare(
    "BooleanMaskLengths",
    inputs=2,
    shape=same_as_first,
    doc="The lengths that segments have after BooleanMask.",
    in_doc=("lengths: int32 or int64", "mask: bool, one for each element of all segments"),
    out_doc=("masked_lengths: of the lengths' type",),
)
declare(
    "BooleanUnmask",
    inputs=(2, MANY),
    shape=unmask_shape,
    doc="Puts values back where their masks are true; the first mask that is true at a place gives it its next value.",
    in_doc=(
        "mask1: bool",
        "values1: one for each true of the mask that no earlier mask has taken",
        "mask2, values2, ...",
    ),
    out_doc=("unmasked_data: values for every place",),
)
declare(
    "SequenceMask",
    inputs=(1, 2),
    args=[
        Arg("mode", "string", None, "what is overwritten in row i, column j: sequence (j >= length of row i), window "
            "(j further than radius from the centre of row i), upper (j > i), lower (j < i), upperdiag (j >= i), "
            "lowerdiag (j <= i)"),
        Arg("axis", "int", 1, "dims before it are rows, the others columns"),
        Arg("batch", "int", None, "dims up to this one, before axis, only repeat the mask"),
        Arg("repeat_from_axis", "int", None, "mode sequence: dims from this on only repeat the mask; not with batch"),
        Arg("radius", "int", 10, "of a window"),
        Arg("fill_val", "float", float("-inf"), "what is written"),
        Arg("grad", "bool", False, "write 0 instead"),
    ],
    shape=same_as_first,
    doc="Overwrites a part of every row, as attention needs it.",
    in_doc=("input: float", "sequence_lengths: int32; lengths or centres of the rows, in modes sequence and window"),
    out_doc=("masked_tensor: float",),
)  # fmt: skip
declare(
    "IsEmpty",
    inputs=1,
    shape=scalar_shape,
    doc="Whether the tensor has no elements.",
    in_doc=("tensor",),
    out_doc=("is_empty: bool, no dims",),
)
declare(
    "HasElements",
    inputs=(1, MANY),
    shape=scalar_shape,
    doc="Whether any of the tensors has elements.",
    in_doc=("tensor, ...",),
    out_doc=("has_elements: bool, no dims",),
)
