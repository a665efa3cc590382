"""Products of two activations."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.writer import Writer, copied
from serverquant.quantization.net import arguments


@emits("BatchMatMul", writes="Int8BatchMatMul Int8Quantize")
def batch_matmul(w: Writer, op: OperatorDef) -> None:
    """BatchMatMul, one of its inputs int8 already. A constant matrix is FC's business (`rewrite.layers_as_fc`)."""
    given = copied(arguments(op), ("trans_a", "trans_b", "broadcast"))
    w.some_int8(op)
    if w.reads_constants(op) or any(w.is_image(name) for name in (*op.input, *op.output)):
        raise Stays("it multiplies constants or images")
    w.check(op)
    w.write(op, "Int8BatchMatMul", [w.as_int8(name).name for name in op.input], order=False, **given)
