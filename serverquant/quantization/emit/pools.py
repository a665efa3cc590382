"""Pools of images."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.writer import WINDOW, Writer, copied
from serverquant.quantization.net import PADS, POOLS, arguments

POOL_ARGS = (*WINDOW, *PADS, "global_pooling")


@emits(*POOLS, writes="Int8MaxPool Int8AveragePool")
def pool(w: Writer, op: OperatorDef) -> None:
    """MaxPool, which keeps parameters, and AveragePool."""
    x, args = w.only_int8(op), arguments(op)
    given = copied(args, (*POOL_ARGS, "count_include_pad") if not args.int("count_include_pad", 0) else POOL_ARGS)
    given.pop("count_include_pad", None)
    if len(w.shape(op.input[0])) not in (3, 4):
        raise Stays("it does not pool images or volumes")
    if op.type == "AveragePool":
        w.write(op, "Int8AveragePool", [x.name], **given)
    else:
        w.write_kept(op, "Int8MaxPool", x, order=w.layout(op.input[0]), **given)
