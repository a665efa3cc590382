"""Sums, products and concatenations of several blobs, one of which is int8 already."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.qparams import QParams
from serverquant.quantization.emit.forms import Stays, emits
from serverquant.quantization.emit.writer import Writer, copied
from serverquant.quantization.net import arguments, upper_end


def same_shapes(w: Writer, op: OperatorDef) -> None:
    """Stays unless the operator reads several blobs of one shape, one of them int8 already."""
    w.some_int8(op)
    if len(op.input) < 2 or len({w.shape(name) for name in op.input}) != 1 or w.reads_constants(op):
        raise Stays("it reads other than blobs of one shape")
    w.check(op)


@emits("Sum", writes="Int8Sum Int8Quantize", wide="Sum")
def add(w: Writer, op: OperatorDef) -> None:
    """Add and Sum of equal shapes."""
    copied(arguments(op), ("broadcast", "axis"))
    same_shapes(w, op)
    if w.wide(op):
        w.write(op, "Sum", [w.as_int8(name, wide=True).name for name in op.input], order=False, wide=True)
    else:
        w.write(op, "Int8Sum", [w.as_int8(name).name for name in op.input])


def mul(w: Writer, op: OperatorDef) -> None:
    """Mul of equal shapes."""
    copied(arguments(op), ("broadcast", "axis"))
    same_shapes(w, op)
    w.write(op, "Int8Mul", [w.as_int8(name).name for name in op.input])


def joined(w: Writer, op: OperatorDef, name: str) -> QParams | None:
    """Those of the whole: a part that nobody else reads is requantized to them in any case. A part that is cut off at 0
    takes them only if their zero point is 0, one of other bits never."""
    params = w.output(op)[1]
    source = w.writers.get(name)
    if params.precision != w.bits(name):
        return None
    return params if source is None or upper_end(source) is None or params.zero_point == 0 else None


@emits("Concat", writes="Int8Concat Int8Quantize", demands=joined)
def concat(w: Writer, op: OperatorDef) -> None:
    """Concat along an axis other than the batch's; the mobile set's, which copies bytes, where all parameters agree."""
    args = arguments(op)
    copied(args, ("axis",))
    w.some_int8(op)
    if len({len(w.shape(name)) for name in op.input}) != 1 or w.reads_constants(op):
        raise Stays("it joins other than blobs of one rank")
    if any(name in w.readers or name in w.net.kept for name in op.output[1:]):
        raise Stays("its second output is read")
    axis = w.axis(op.input[0], args.int("axis", 1 if args.string("order", "NCHW") == "NCHW" else -1))
    if axis == 0:
        raise Stays("it joins batches")
    w.check(op)
    parts = [w.as_int8(name) for name in op.input]
    params = w.output(op)[1]
    engine = "" if all(part.params == params for part in parts) else None
    split = w.net.unique(f"{op.output[0]}_split")
    w.write(op, "Int8Concat", [part.name for part in parts], order=False, more=[split], engine=engine, axis=axis)
