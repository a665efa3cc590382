"""Scales and shifts by channel that folded into no layer, and normalisation by groups."""

from __future__ import annotations

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.affine import EPSILON, NORMS, add_norm, affine_of
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.joins import add, mul
from serverquant.quantization.emit.writer import NO_WIDE, Writer, copied
from serverquant.quantization.net import arguments


@emits("Add", writes="Int8SpatialBN Int8ElementwiseLinear Int8Sum", wide="Sum")
@emits("SpatialBN", "AffineChannel", "Mul", "Sub", writes="Int8SpatialBN Int8ElementwiseLinear Int8Mul")
def scale_and_shift(w: Writer, op: OperatorDef) -> None:
    """Of images as Int8SpatialBN, of others by their last axis as Int8ElementwiseLinear; without a constant, as sum or
    product of two blobs."""
    given = [name for name in op.input if w.net.weight(name) is None]
    if op.type not in NORMS and len(given) == 2:
        if op.type == "Sub":
            raise Stays("it subtracts blobs")
        (mul if op.type == "Mul" else add)(w, op)
        return
    if len(given) != 1 or len(op.output) != 1:
        raise Stays("it scales by other than constants")
    if w.needs_wide(op):
        raise Stays(NO_WIDE)
    w.some_int8(op)
    w.refuse_flat(op)
    name, shape = given[0], w.shape(given[0])
    image = len(shape) == 3 or op.type in NORMS
    axis = w.channel(name) if image else len(shape)
    n = shape[axis - 1] if axis else 0
    found = affine_of(w.net, op, name, n, len(shape) + 1, axis) if n else None
    if found is None:
        raise Stays("its constant has other than one value for each channel")
    if not (np.isfinite(found.a).all() and np.isfinite(found.s).all()):
        raise Stays("its constants are not finite")
    w.check_output(op)
    x = w.as_int8(name)
    if image:
        # Caffe2's reciprocal square root may be off by the last bit elsewhere than at 1
        weights = add_norm(w.net, op.output[0], found)
        w.write(op, "Int8SpatialBN", [x.name, *weights], is_test=1, epsilon=EPSILON)
    else:
        weights = [w.net.add_weight(f"{op.output[0]}_{what}", v) for what, v in found._asdict().items()]
        w.write(op, "Int8ElementwiseLinear", [x.name, *weights], order=False, axis=axis)


@emits("ElementwiseLinear", writes="Int8ElementwiseLinear")
def elementwise_linear(w: Writer, op: OperatorDef) -> None:
    """The same; its constants are quantized by the operator."""
    x, args = w.only_int8(op), arguments(op)
    copied(args, ("axis",))
    if w.is_image(op.input[0]) or any(w.net.weight(name) is None for name in op.input[1:]):
        raise Stays("it scales an image by pixel, or by other than constants")
    w.check_output(op)
    w.write(op, "Int8ElementwiseLinear", [x.name, *op.input[1:]], order=False, axis=args.int("axis", 1))


@emits("GroupNorm", writes="Int8GroupNorm")
def group_norm(w: Writer, op: OperatorDef) -> None:
    """GroupNorm whose moments nobody reads."""
    x, args = w.only_int8(op), arguments(op)
    given = copied(args, ("group", "epsilon", "is_test"))
    given.pop("is_test", None)
    if len(op.output) != 1 or any(w.net.weight(name) is None for name in op.input[1:]):
        raise Stays("it scales by other than constants, or has more than one output")
    w.check_output(op)
    w.write(op, "Int8GroupNorm", [x.name, *op.input[1:]], **given)
