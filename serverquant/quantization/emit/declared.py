"""Operators, of users above all, whose schema names their int8 form (`runtime.schema`)."""

from __future__ import annotations

from typing import Any

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.forms import DECLARED, emits
from serverquant.quantization.emit.writer import Writer, out_arguments
from serverquant.quantization.net import arguments
from serverquant.runtime import registry


@emits(DECLARED, writes="")
def declared(w: Writer, op: OperatorDef) -> None:
    """The int8 form, where one of the inputs is int8 already. Float values that calibration saw become int8."""
    w.some_int8(op)
    read = [name for name in op.input if name in w.statistics.blobs]
    made = [name for name in op.output if name in w.statistics.blobs]
    params = {name: w.params(name) for name in (*read, *made)}
    w.refuse_flat(op)
    args: dict[str, Any] = {name: arguments(op).value(name) for name in arguments(op).names()}
    if any(w.is_image(name) for name in (*read, *made)):
        args["order"] = "NHWC"
    inputs = [w.as_int8(name).name if name in read else name for name in op.input]
    type, outputs = registry.schema(op.type).int8, []
    for i, name in enumerate(op.output):
        if name not in made:
            outputs.append(name)
            w.floats.add(name)
            continue
        outputs.append(w.new(name, params[name]).name)
        w.out.quantized[name] = type
        args |= out_arguments(params[name], f"Y{i + 1}" if i else "Y")
    written = w.add(type, inputs, outputs, **args)
    for i, name in enumerate(op.output):
        if name in made:
            w.cut(written, params[name], i)
