"""Operators that move values without changing them: scale and zero point stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.quantization.emit.forms import Quantized, Stays, emits
from serverquant.quantization.emit.writer import NO_WIDE, Writer, copied
from serverquant.quantization.net import arguments
from serverquant.quantization.rules import BYTE


@emits("Flatten", "Reshape", writes="Int8Flatten Int8Reshape Int8ChannelShuffle", wide="", keeps=True)
def flatten(w: Writer, op: OperatorDef) -> None:
    """Flatten at axis 1, and Reshape to the same, cost nothing: an FC that reads it takes the image as it is. Others
    are Int8Reshape where the layout permits."""
    w.only_int8(op)
    x = w.int8[op.input[0]]  # of whichever type
    if any(other in w.readers or other in w.net.kept for other in op.output[1:]):
        raise Stays("its second output is read")
    if _shuffles(w, op, x):
        return
    before, after, name = w.shape(op.input[0]), w.shape(op.output[0]), op.output[0]
    flat = after == (np.prod(before, dtype=int),)
    if flat and name not in w.net.kept and all(reader.type == "FC" for reader in w.readers.get(name, [])):
        w.int8[name] = Quantized(x.name, x.params, before if w.is_image(op.input[0]) else None, x.wide)
        w.flattens[name] = op
        w.out.quantized[name] = "(none)"
        return
    if x.params.precision > BYTE:
        raise Stays(NO_WIDE)
    x = w.as_int8(op.input[0])
    if w.is_image(op.input[0]) and before[1:] != (1, 1):
        raise Stays("it takes the pixels of an image apart")
    if flat:
        w.write_kept(op, "Int8Flatten", x, axis=1)
        return
    if w.is_image(op.input[0]) or w.is_image(name):
        raise Stays("it makes other than a matrix of an image, or an image of something")
    _reshape(w, op, x, _wanted(w, op))


def _wanted(w: Writer, op: OperatorDef) -> Sequence[int]:
    """The shape that a Reshape or Flatten asks for."""
    if op.type == "Flatten":
        if arguments(op).int("axis", 1) != 1:
            raise Stays("it joins the batch with others")
        return 0, -1
    if len(op.input) == 1:
        return [int(n) for n in arguments(op).value("shape", [])]
    value = w.net.weight(op.input[1])
    if value is None:
        raise Stays("the shape that it makes is computed")
    return [int(n) for n in value.reshape(-1)]


def _reshape(w: Writer, op: OperatorDef, x: Quantized, shape: Sequence[int]) -> None:
    """Int8Reshape has a second output always."""
    w.write_kept(op, "Int8Reshape", x, more=[w.net.unique(f"{op.output[0]}_old_shape")], shape=list(shape))


def _shuffles(w: Writer, op: OperatorDef, x: Quantized) -> bool:
    """Write ChannelShuffle for what exporters write instead: N, C, H, W seen as N, g, C/g, H, W, g and C/g exchanged,
    seen as N, C, H, W again."""
    turn = _only_reader(w, op.output[0], "Transpose")
    last = _only_reader(w, turn.output[0], "Reshape") if turn is not None else None
    before, middle = w.shape(op.input[0]), w.shape(op.output[0])
    if turn is None or last is None or len(middle) != 4 or not w.is_image(op.input[0]):
        return False
    group, inner, *pixels = middle
    if list(arguments(turn).value("axes", [])) != [0, 2, 1, 3, 4] or w.shape(last.output[0]) != before:
        return False
    if before != (group * inner, *pixels) or any(name in w.readers for name in last.output[1:]):
        return False
    w.done |= {id(turn), id(last)}
    _shuffle(w, last, x, order="NHWC", group=group)
    return True


def _only_reader(w: Writer, name: str, type: str) -> OperatorDef | None:
    readers = w.readers.get(name, [])
    return readers[0] if len(readers) == 1 and readers[0].type == type and name not in w.net.kept else None


@emits("ExpandDims", "Squeeze", writes="Int8Reshape", keeps=True)
def dims_of_one(w: Writer, op: OperatorDef) -> None:
    """As Int8Reshape: sizes before the first dim of one are copied, the next is left open, others are those seen."""
    x = w.only_int8(op)
    rank = len(w.shape(op.input[0])) + 1
    if w.is_image(op.input[0]) or w.is_image(op.output[0]):
        raise Stays("it makes an image, or something of one")
    dims = sorted(int(d) for d in arguments(op).value("dims", []))
    seen: list[int] = [-1, *w.shape(op.input[0])]  # the batch may have any size
    if op.type == "Squeeze":
        left = [i for i in range(rank) if i not in dims]
    else:
        left = list(range(rank))
        for d in dims:
            left.insert(d, -1)
            seen.append(1)
    shape, opened = [], False
    for place, i in enumerate(left):
        if i == place and not opened:
            shape.append(0)
        elif i >= 0 and not opened:
            shape.append(-1)
            opened = True
        else:
            shape.append(seen[i])
    _reshape(w, op, x, shape)


@emits("Transpose", writes="Int8Transpose", keeps=True)
def transpose(w: Writer, op: OperatorDef) -> None:
    """Transpose of other than images."""
    x = w.only_int8(op)
    if w.is_image(op.input[0]) or w.is_image(op.output[0]):
        raise Stays("it turns an image")
    w.write_kept(op, "Int8Transpose", x, **copied(arguments(op), ("axes",)))


@emits("ChannelShuffle", writes="Int8ChannelShuffle", wide="ChannelShuffle", keeps=True)
def channel_shuffle(w: Writer, op: OperatorDef) -> None:
    x = w.only_int8(op, w.wide(op))
    _shuffle(w, op, x, order=w.layout(op.input[0]), **copied(arguments(op), ("group", "kernel")))


def _shuffle(w: Writer, op: OperatorDef, x: Quantized, **args: Any) -> None:
    w.write_kept(op, "ChannelShuffle" if x.wide else "Int8ChannelShuffle", x, **args)


@emits("ResizeNearest", writes="Int8ResizeNearest", keeps=True)
def resize_nearest(w: Writer, op: OperatorDef) -> None:
    """The mobile set's, for images."""
    x = w.only_int8(op)
    if len(op.input) != 1:
        raise Stays("its scales are computed")
    given = copied(arguments(op), ("width_scale", "height_scale"))
    w.write_kept(op, "Int8ResizeNearest", x, order="NHWC", **given)


@emits("Slice", writes="Int8Slice", keeps=True)
def cut(w: Writer, op: OperatorDef) -> None:
    """Slice along one dim other than the batch's."""
    x, args = w.only_int8(op), arguments(op)
    if len(op.input) == 1:
        bounds = [args.value(name, []) for name in ("starts", "ends")]
    else:
        given = [w.net.weight(name) for name in op.input[1:]]
        if any(value is None for value in given):
            raise Stays("its bounds are computed")
        bounds = [value.tolist() for value in given if value is not None]
    before, after = w.shape(op.input[0]), w.shape(op.output[0])
    changed = [i for i, (a, b) in enumerate(zip(before, after), 1) if a != b]
    if len(bounds[0]) != len(bounds[1]) or (bounds[0] and (bounds[0][0], bounds[1][0]) != (0, -1)):
        raise Stays("it cuts the batch")
    if len(changed) != 1:
        raise Stays("it cuts no dim")
    start = int(bounds[0][changed[0]])
    start = start if start >= 0 else start + before[changed[0] - 1] + 1
    _piece(w, op, x, 0, w.axis(op.input[0], changed[0]), start)


@emits("Split", writes="Int8Slice", keeps=True)
def split(w: Writer, op: OperatorDef) -> None:
    """An Int8Slice for each output, along an axis other than the batch's."""
    x, args = w.only_int8(op), arguments(op)
    if args.int("add_axis", 0) and args.has("axis"):
        raise Stays("it takes an axis away")
    axis = args.int("axis", 1 if args.string("order", "NCHW") == "NCHW" else 3) % (len(w.shape(op.input[0])) + 1)
    if axis == 0:
        raise Stays("it cuts the batch")
    for name in op.output:
        w.params(name)
    start = 0
    for i, name in enumerate(op.output):
        _piece(w, op, x, i, w.axis(op.input[0], axis), start)
        start += w.shape(name)[axis - 1]


def _piece(w: Writer, op: OperatorDef, x: Quantized, output: int, axis: int, start: int) -> None:
    """Int8Slice of as much as the output has along an axis (of the int8 blob)."""
    sizes = w.shape(op.output[output])
    float_axis = (0, 2, 3, 1)[axis] if w.is_image(op.input[0]) else axis
    end = start + sizes[float_axis - 1]
    w.write_kept(op, "Int8Slice", x, output, dim=axis, start_idx=start, end_idx=end)


def gather(w: Writer, op: OperatorDef) -> None:
    """Slices of a blob, along its first dim."""
    x, args = w.only_int8(op), arguments(op)
    if args.int("axis", 0) != 0 or args.int("match_outer", 0):
        raise Stays("it gathers along another axis than the first")
    if len(w.shape(op.output[0])) != len(w.shape(op.input[0])):
        raise Stays("its indices are no vector")
    w.write_kept(op, "Int8Gather", x, inputs=[op.input[1]])
