"""Schemas of normalisation and softmax whose types are for Int8 tensors alone."""

from __future__ import annotations

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims


def softmax_dims(op: object, ins: list[Spec]) -> list[Dims]:
    """Shape rule: X's dims, of which there must be at least one."""
    if not ins[0].ndim:
        raise ShapeError("a softmax needs a batch dimension; the input has none")
    return [ins[0].dims]


declare(
    "Int8Softmax",
    inputs=1,
    args=[
        Arg("axis", "int", 1, "no effect: rows are always dims[0]"),
        Arg("Y_scale", "float", None, "1/256 where given"),
        Arg("Y_zero_point", "int", None, "0 where given"),
    ],
    shape=softmax_dims,
    doc="""exp(x) / sum(exp(x)) over all dims but the first, in whole numbers: exponentials relative to the row's
largest value from a table, then one division with rounding. Y has scale 1/256 and zero point 0.""",
    in_doc=("X: Int8 of uint8, batch first",),
    out_doc=("Y: Int8 of uint8, X's shape",),
)
