"""Pools of images."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.writer import (
    ENGINE,
    PADS,
    POOLS,
    WINDOW,
    Stays,
    Writer,
    copied,
    emits,
    out_arguments,
)
from serverquant.quantization.net import arguments, operator

POOL_ARGS = (*WINDOW, *PADS, "global_pooling")


@emits(*POOLS)
def pool(w: Writer, op: OperatorDef) -> None:
    """MaxPool, which keeps parameters, and AveragePool."""
    x, args = w.only_int8(op), arguments(op)
    given = copied(args, (*POOL_ARGS, "count_include_pad") if not args.int("count_include_pad", 0) else POOL_ARGS)
    given.pop("count_include_pad", None)
    if len(w.shape(op.input[0])) != 3:
        raise Stays("it does not pool images")
    if op.type == "AveragePool":
        w.write(op, "Int8AveragePool", [x.name], fuse=False, **given)
        return
    name = op.output[0]
    w.add(operator("Int8MaxPool", [x.name], [w.new(name, x.params).name], ENGINE, **out_arguments(x.params), **given))
    w.out.quantized[name] = "Int8MaxPool"
