"""Products of two activations."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.writer import Writer, copied
from serverquant.quantization.net import arguments


@emits("BatchMatMul", writes="Int8BatchMatMul Int8Quantize", wide="BatchMatMul")
def batch_matmul(w: Writer, op: OperatorDef) -> None:
    """BatchMatMul, one of its inputs int8 already. A constant matrix is FC's business (`rewrite.layers_as_fc`)."""
    given = copied(arguments(op), ("trans_a", "trans_b", "broadcast"))
    w.some_int8(op)
    if w.reads_constants(op) or any(w.is_image(name) for name in (*op.input, *op.output)):
        raise Stays("it multiplies constants or images")
    w.check(op)
    wide = w.wide(op)
    if wide:
        terms = w.shape(op.input[0])[-2 if given.get("trans_a", 0) else -1]
        if terms << sum(w.bits(name) for name in op.input) >= 2**31:
            raise Stays("its sums could leave int32 with so many bits")
    type = "BatchMatMul" if wide else "Int8BatchMatMul"
    w.write(op, type, [w.as_int8(name, wide).name for name in op.input], order=False, wide=wide, **given)
