"""Schemas of sums and products."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.ops.eltwise.broadcast import BROADCAST_ARGS, binary_shape
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY


def sum_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    for i, spec in enumerate(ins):
        if spec.dims != ins[0].dims:
            raise op.shape_error(ins, i, f"the shape of input 0, {ins[0].dims}")
    return [ins[0].dims]


BINARY: dict[str, Any] = dict(
    inputs=2,
    inplace=[(0, 0), (1, 0)],
    args=BROADCAST_ARGS,
    shape=binary_shape,
    in_doc=("A: tensor", "B: tensor of A's type, broadcast over A"),
    out_doc=("C: tensor",),
)
declare("Add", doc="C = A + B.", **BINARY)
declare("Mul", doc="C = A * B.", **BINARY)
declare(
    "Sum",
    inputs=(1, MANY),
    inplace=[(0, 0)],
    shape=sum_shape,
    doc="sum = data_0 + data_1 + ..., added from left to right.",
    in_doc=("data_0, data_1, ...: tensors of one shape and type",),
    out_doc=("sum: tensor",),
)
