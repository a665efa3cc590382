"""Sums and concatenations, where what they read is int8 already."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.writer import ENGINE, Stays, Writer, copied, emits, out_arguments
from serverquant.quantization.net import arguments, operator


@emits("Add", "Sum")
def add(w: Writer, op: OperatorDef) -> None:
    """Add and Sum of equal shapes, one of them int8 already."""
    copied(arguments(op), ())
    if not any(name in w.int8 for name in op.input):
        raise Stays("nothing that it reads is int8")
    if len(op.input) < 2 or len({w.shape(name) for name in op.input}) != 1 or w.reads_constants(op):
        raise Stays("it adds other than blobs of one shape")
    w.check(op)
    w.write(op, "Int8Sum", [w.as_int8(name).name for name in op.input])


@emits("Concat")
def concat(w: Writer, op: OperatorDef) -> None:
    """Concat along an axis other than the batch's, one of its inputs int8 already."""
    args = arguments(op)
    copied(args, ("axis",))
    if not any(name in w.int8 for name in op.input):
        raise Stays("nothing that it reads is int8")
    ranks = {len(w.shape(name)) + 1 for name in op.input}
    if len(ranks) != 1 or w.reads_constants(op):
        raise Stays("it joins other than blobs of one rank")
    if any(name in w.readers or name in w.net.kept for name in op.output[1:]):
        raise Stays("its second output is read")
    rank = ranks.pop()
    axis = args.int("axis", 1 if w.order == "NCHW" else rank - 1) % rank
    if axis == 0:
        raise Stays("it joins batches")
    if w.is_image(op.input[0]):
        axis = (0, 3, 1, 2)[axis]
    w.check(op, fuse=False)
    parts = [w.as_int8(name).name for name in op.input]
    name, params, _ = w.output(op, fuse=False)
    split = w.net.unique(f"{name}_split")
    made = operator(
        "Int8Concat", parts, [w.new(name, params).name, split], ENGINE, **out_arguments(params, order=False), axis=axis
    )
    w.out.quantized[name] = made.type
    w.add(made)
