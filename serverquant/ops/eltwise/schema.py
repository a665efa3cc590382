"""Schemas of sums and products."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.ops.eltwise.broadcast import BROADCAST_ARGS, binary_shape
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY


def sum_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    for i, spec in enumerate(ins):
        if spec.dims != ins[0].dims:
            raise op.shape_error(ins, i, f"the shape of input 0, {ins[0].dims}")
    return [ins[0].dims]


IN_ADD, OUT_ADD = ("A: tensor", "B: tensor of A's type, broadcast over A"), ("C: tensor",)
INT8_ARGS = [*OUTPUT_ARGS, *ARGS]

declare(
    "Add",
    "Int8Add",
    "Int8AddRelu",
    inputs=2,
    inplace=[(0, 0), (1, 0)],
    args=[*BROADCAST_ARGS, *INT8_ARGS],
    shape=binary_shape,
    doc="C = A + B; ...Relu: max(A + B, 0).",
    in_doc=IN_ADD,
    out_doc=OUT_ADD,
)
declare(
    "Mul",
    inputs=2,
    inplace=[(0, 0), (1, 0)],
    args=BROADCAST_ARGS,
    shape=binary_shape,
    doc="C = A * B.",
    in_doc=IN_ADD,
    out_doc=OUT_ADD,
)
declare(
    "Sum",
    "SumRelu",
    "Int8Sum",
    "Int8SumRelu",
    inputs=(1, MANY),
    inplace=[(0, 0)],
    args=INT8_ARGS,
    shape=sum_shape,
    doc="sum = data_0 + data_1 + ..., added from left to right; ...Relu: max(sum, 0).",
    in_doc=("data_0, data_1, ...: tensors of one shape and type; with engine DNNLOWP each Int8 or float",),
    out_doc=("sum: tensor",),
)
