"""Pools of images, and regions cut out of them."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.writer import PADS, POOLS, WINDOW, Writer, copied
from serverquant.quantization.net import arguments

ROI_ARGS = ("spatial_scale", "pooled_h", "pooled_w", "sampling_ratio")
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


@emits("RoIAlign", writes="Int8RoIAlign")
def roi_align(w: Writer, op: OperatorDef) -> None:
    """The mobile set's, with a fixed number of points; the regions stay float."""
    x, given = w.only_int8(op), copied(arguments(op), (*ROI_ARGS, "aligned"))
    points = int(given.get("sampling_ratio", 0))
    if given.pop("aligned", 0) or points < 1:
        raise Stays("the int8 form needs sampling_ratio, and does not align")
    if x.params.scale >= w.output(op)[1].scale * 255 * points**2:
        raise Stays("its output is too small for the multiplier, which must be below 1")
    w.write(op, "Int8RoIAlign", [x.name, w.as_float(op.input[1])], **given)
