"""Schemas of sums, products, comparisons and other operators of several tensors."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.ops.eltwise.broadcast import BROADCAST_ARGS, binary_shape
from serverquant.ops.eltwise.maps import BINARIES, FOLDS
from serverquant.ops.eltwise.values import ARITHMETIC, arithmetic_values
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY


def equal_shapes(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    for i, spec in enumerate(ins):
        if spec.dims != ins[0].dims:
            raise op.shape_error(ins, i, f"the shape of input 0, {ins[0].dims}")
    return [ins[0].dims]


INT8_ARGS = [*OUTPUT_ARGS, *ARGS]
INT8_BINARY: dict[str, tuple[str, ...]] = {"Add": ("Int8Add", "Int8AddRelu"), "Mul": ("Int8Mul",)}
INT8_SUM = ("Int8Sum", "Int8SumRelu")

for _name, _binary in BINARIES.items():
    _types = ", ".join(_binary.types)
    declare(
        _name,
        *INT8_BINARY.get(_name, ()),
        inputs=2,
        inplace=[(0, 0), (1, 0)] if _binary.inplace else [],
        args=[*BROADCAST_ARGS, *(INT8_ARGS if _name in INT8_BINARY else ())],
        shape=binary_shape,
        values=arithmetic_values if _name in ARITHMETIC else None,
        doc=f"{_binary.doc}{'; ...Relu: max(A + B, 0)' if _name == 'Add' else ''}.",
        in_doc=(f"A: tensor of {_types}", "B: tensor of A's type, broadcast over A"),
        out_doc=(f"C: {'bool tensor' if _binary.bool_out else 'tensor'}",),
    )

_SUM_IN = "data_0, data_1, ...: tensors of one shape and type"
for _name, _fold in FOLDS.items():
    if _name == "SumRelu":
        continue
    declare(
        *((_name, "SumRelu", *INT8_SUM) if _name == "Sum" else (_name,)),
        inputs=(1, MANY),
        inplace=[(0, 0)],
        args=INT8_ARGS if _name == "Sum" else [],
        shape=equal_shapes,
        doc=f"{_fold.doc}{'; ...Relu: max(sum, 0)' if _name == 'Sum' else ''}.",
        in_doc=(_SUM_IN + ("; with engine DNNLOWP each Int8 or float" if _name == "Sum" else ""),),
        out_doc=(f"{_fold.doc.partition(' ')[0]}: tensor of their shape",),
    )
