"""Functions of one value."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.writer import ENGINE, Writer, emits, out_arguments
from serverquant.quantization.net import operator


@emits("Relu")
def relu(w: Writer, op: OperatorDef) -> None:
    """Relu by itself keeps the parameters."""
    x = w.only_int8(op)
    name = op.output[0]
    w.add(operator("Int8Relu", [x.name], [w.new(name, x.params).name], ENGINE, **out_arguments(x.params)))
    w.out.quantized[name] = "Int8Relu"
