"""Schemas and shape rules of the operators that resize, pad or shuffle images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.ops._window import ORDER_ARG, join_dims, split_dims
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg

Dims = tuple[int, ...]
NAMES = ("height_scale", "width_scale")


# ---- sizes by scales -----------------------------------------------------------------------------------------------


def scale_args(*names: str) -> list[Arg]:
    return [Arg(n, "float", 1.0, f"output {n.split('_')[0]} = the input's times this, rounded down") for n in names]


def check_scales(scales: list[float]) -> None:
    if not all(s > 0 and math.isfinite(s) for s in scales):
        raise ArgumentError(f"scales are {scales}; they must be positive numbers")


def scales_of(op: Any, ins: list[Spec]) -> list[float] | None:
    """(height, width) scales, from the arguments or the second input; None when that is not known yet."""
    if len(ins) == 1:
        return [op.args.height_scale, op.args.width_scale]
    if ins[1].dims != (2,):
        raise op.shape_error(ins, 1, "2 scales, of height and width")
    found = ins[1].peek()
    if found is None:
        return None
    scales = [float(s) for s in found]
    check_scales(scales)
    return scales


def scaled(size: int, scale: float) -> int:
    """The product in single precision, rounded down."""
    with np.errstate(over="ignore"):
        product = np.float32(size) * np.float32(scale)
    if not product < 1 << 31:
        raise ShapeError(f"{size} pixels times a scale of {scale:g} are too many")
    return int(product)


def image_of(op: Any, ins: list[Spec], ndim: int, nhwc: bool = False) -> tuple[int, int, Dims]:
    """(batch, channels, sizes) of input 0, which has `ndim` dimensions."""
    if ins[0].ndim != ndim:
        raise op.shape_error(ins, 0, f"{ndim} dimensions")
    return split_dims(ins[0].dims, nhwc)


def resize_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    scales, nhwc = scales_of(op, ins), getattr(op.args, "order", "NCHW") == "NHWC"
    if scales is None:
        return None
    batch, channels, sizes = image_of(op, ins, 4, nhwc)
    return [join_dims(batch, channels, tuple(scaled(n, s) for n, s in zip(sizes, scales)), nhwc)]


def resize_3d_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    batch, channels, sizes = image_of(op, ins, 5, op.nhwc)
    return [join_dims(batch, channels, tuple(scaled(n, s) for n, s in zip(sizes, op.scales)), op.nhwc)]


SCALES_DOC = ("X: float image, 4-D", "scales: float, the scales of height and width instead of the arguments")
declare(
    "ResizeNearest",
    inputs=(1, 2),
    args=[*scale_args("height_scale", "width_scale"), ORDER_ARG],
    shape=resize_shape,
    doc="An image in another size: output pixel i is input pixel i / scale, rounded down.",
    in_doc=SCALES_DOC,
    out_doc=("Y: image",),
)
declare(
    "ResizeNearest3D",
    inputs=1,
    args=[*scale_args("temporal_scale", "height_scale", "width_scale"), ORDER_ARG],
    shape=resize_3d_shape,
    doc="Images of frames in another size. As in Caffe2, height and width double, frames stay or double; NCHW only.",
    in_doc=("X: 5-D: batch, channels, frames, height, width",),
    out_doc=("Y: 5-D tensor",),
)
declare(
    "UpsampleBilinear",
    inputs=(1, 2),
    args=scale_args("height_scale", "width_scale"),
    shape=resize_shape,
    doc="An NCHW image in another size by linear interpolation; the corners' pixels stay the corners.",
    in_doc=SCALES_DOC,
    out_doc=("Y: float image",),
)


# ---- PadImage ------------------------------------------------------------------------------------------------------


def read_pads(op: Any) -> Dims:
    """(top, left, bottom, right); numbers below 0 cut off."""
    args = op.args
    sides = (args.pad_t, args.pad_l, args.pad_b, args.pad_r)
    if op.given("pad"):
        return (args.pad,) * 4
    if None not in sides:
        return sides
    if not args.pads:
        return (0,) * 4
    if len(args.pads) != 4:
        raise ArgumentError(f"argument pads has {len(args.pads)} numbers; it needs 4: top, left, bottom, right")
    return tuple(args.pads)


def pad_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    batch, channels, sizes = image_of(op, ins, 4, op.nhwc)
    if 0 in (channels, *sizes):
        raise op.shape_error(ins, 0, "an image with pixels")
    out = tuple(n + head + tail for n, head, tail in zip(sizes, op.pads[:2], op.pads[2:]))
    if min(out) < 1:
        raise ShapeError(f"pads {list(op.pads)} leave nothing of an image of {sizes[0]} x {sizes[1]}")
    return [join_dims(batch, channels, out, op.nhwc)]


ONE = "a window's argument that PadImage must have as 1"
declare(
    "PadImage",
    inputs=1,
    args=[
        Arg("pads", "ints", [], "top, left, bottom, right; 0 when missing, below 0 cuts off"),
        Arg("pad", "int", 0, "the pad of all four sides"),
        *(Arg(f"pad_{side[0]}", "int", None, f"pad {side}, together with the other three") for side in
          ("top", "left", "bottom", "right")),
        Arg("mode", "string", "constant", "what stands outside: constant (value), reflect (mirrored, without the edge "
            "itself), edge (the nearest pixel)"),
        Arg("value", "float", 0.0, "the constant"),
        Arg("legacy_pad", "int", 0, "must be 0"),
        *(Arg(f"{what}{form}", "int", 1, ONE) for what in ("stride", "dilation") for form in ("", "_h", "_w")),
        *(Arg(what, "ints", [], ONE) for what in ("strides", "dilations")),
        ORDER_ARG,
    ],
    shape=pad_shape,
    doc="An image with borders around it.",
    in_doc=("X: float image, 4-D",),
    out_doc=("Y: float image",),
)  # fmt: skip


# ---- ChannelShuffle, SpaceToBatch, BatchToSpace, IntegralImage -----------------------------------------------------


def shuffle_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 2:
        raise op.shape_error(ins, 0, "at least 2 dimensions, batch and channels")
    channels = split_dims(ins[0].dims, op.nhwc)[1]
    if channels % op.args.group:
        raise op.shape_error(ins, 0, f"a multiple of {op.args.group} channels, for argument group")
    return [ins[0].dims]


def batch_pads(op: Any) -> Dims:
    """(top, bottom, left and right): Caffe2 reads pad_t, and pad for all other sides."""
    pad = op.args.pad
    return (pad if op.args.pad_t is None else op.args.pad_t), pad, pad


def space_to_batch_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    block, (top, bottom, side) = op.args.block_size, batch_pads(op)
    batch, channels, (height, width) = image_of(op, ins, 4)
    height, width = height + top + bottom, width + 2 * side
    if height % block or width % block or min(height, width) < 0:
        raise op.shape_error(ins, 0, f"a padded image ({height} x {width}) of multiples of the block size, {block}")
    return [(batch * block * block, channels, height // block, width // block)]


def batch_to_space_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    block, (top, bottom, side) = op.args.block_size, batch_pads(op)
    batch, channels, (height, width) = image_of(op, ins, 4)
    if batch < block * block:
        raise op.shape_error(ins, 0, f"a batch of at least {block * block}, the pixels of a block")
    height, width = height * block - top - bottom, width * block - 2 * side
    if min(height, width) < 0:
        raise ShapeError(f"pads leave nothing of the image ({height} x {width})")
    return [(batch // (block * block), channels, height, width)]


def integral_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    batch, channels, (height, width) = image_of(op, ins, 4)
    return [(batch, channels, height + 1, width + 1)]


declare(
    "ChannelShuffle",
    inputs=1,
    args=[
        Arg("group", "int", 1, "groups G of K channels: output channel k*G + g is input channel g*K + k"),
        Arg("kernel", "int", None, "not used"),
        ORDER_ARG,
        *OUTPUT_ARGS,
        *ARGS,
    ],
    shape=shuffle_shape,
    doc="Mixes the channels of groups.",
    in_doc=("X: image, any number of spatial dimensions",),
    out_doc=("Y: image",),
)
BATCH_ARGS = [
    Arg("block_size", "int", 2, "height and width of a block"),
    Arg("pad", "int", 0, "pixels at each side of the large image: 0 ones (SpaceToBatch) or cut off (BatchToSpace)"),
    Arg("pad_t", "int", None, "the same at the top; pad without it"),
    ORDER_ARG,
]
declare(
    "SpaceToBatch",
    inputs=1,
    args=BATCH_ARGS,
    shape=space_to_batch_shape,
    doc="Moves the pixels of every block into the batch; NCHW only.",
    in_doc=("X: float image",),
    out_doc=("Y: (batch * block^2, channels, height / block, width / block)",),
)
declare(
    "BatchToSpace",
    inputs=1,
    args=BATCH_ARGS,
    shape=batch_to_space_shape,
    doc="Moves pixels from the batch into blocks; undoes SpaceToBatch. NCHW only.",
    in_doc=("X: float image",),
    out_doc=("Y: (batch / block^2, channels, height * block, width * block)",),
)
declare(
    "IntegralImage",
    inputs=1,
    shape=integral_shape,
    doc="Sums over all pixels above and left: Y[i, j] = sum of X[:i, :j].",
    in_doc=("X: float NCHW image",),
    out_doc=("Y: (N, C, H + 1, W + 1)",),
)
