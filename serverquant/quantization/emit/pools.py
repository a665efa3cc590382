"""Pools of images."""

from __future__ import annotations

import math

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.writer import WINDOW, Writer, copied
from serverquant.quantization.net import PADS, arguments

POOL_ARGS = (*WINDOW, *PADS, "global_pooling")


@emits("MaxPool", writes="Int8MaxPool", wide="MaxPool", keeps=True)
@emits("AveragePool", writes="Int8AveragePool", wide="AveragePool")
def pool(w: Writer, op: OperatorDef) -> None:
    """MaxPool, which keeps parameters, and AveragePool."""
    wide = w.wide(op)
    x, args = w.only_int8(op, wide), arguments(op)
    given = copied(args, (*POOL_ARGS, "count_include_pad") if not args.int("count_include_pad", 0) else POOL_ARGS)
    given.pop("count_include_pad", None)
    shape = w.shape(op.input[0])
    if len(shape) not in (3, 4):
        raise Stays("it does not pool images or volumes")
    if len(shape) == 4 and given.get("global_pooling") and w.target == "caffe2":
        # which reads the wrong voxels there; a window of their size does not
        given = {"kernels": shape[1:] if w.order == "NCHW" else shape[:-1]}
    type = op.type if wide else f"Int8{op.type}"
    if op.type == "MaxPool":
        w.write_kept(op, type, x, order=w.layout(op.input[0]), **given)
        return
    if wide and math.prod(shape) // shape[w.channel(op.input[0]) - 1] * x.params.qmax >= 2**31:
        raise Stays("the sums of so many pixels of so many bits leave int32")
    w.write(op, type, [x.name], wide=wide, **given)
