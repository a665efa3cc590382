"""Schemas of resizing and shuffling Int8 images."""

from __future__ import annotations

from serverquant.ops._window import ORDER_ARG
from serverquant.ops.dnnlowp.kept import KEPT_ARGS
from serverquant.ops.dnnlowp.options import ARGS
from serverquant.ops.resize.schema import resize_3d_shape, resize_shape, scale_args, shuffle_shape
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg

declare(
    "Int8ResizeNearest",
    inputs=1,
    args=[*scale_args("height_scale", "width_scale"), ORDER_ARG, *KEPT_ARGS],
    shape=resize_shape,
    doc="Each output pixel is the nearest input pixel: size * scale, rounded down, of them; always NHWC.",
    in_doc=("X: Int8 of uint8, N x H x W x C",),
    out_doc=("Y: Int8 of uint8",),
)
declare(
    "Int8ResizeNearest3D",
    inputs=1,
    args=[*scale_args("temporal_scale", "height_scale", "width_scale"), ORDER_ARG, *KEPT_ARGS],
    shape=resize_3d_shape,
    doc="Each output pixel is the nearest input pixel: size * scale, rounded down, of them; always NHWC.",
    in_doc=("X: Int8 of uint8, N x frames x H x W x C",),
    out_doc=("Y: Int8 of uint8",),
)
declare(
    "Int8ChannelShuffle",
    inputs=1,
    args=[
        Arg("group", "int", 1, "groups G of K channels: output channel k*G + g is input channel g*K + k"),
        Arg("kernel", "int", None, "not used"),
        ORDER_ARG,
        *KEPT_ARGS,
        *ARGS,
    ],
    shape=shuffle_shape,
    doc="Mixes the channels of groups.",
    in_doc=("X: Int8 of uint8, image",),
    out_doc=("Y: Int8 of uint8, image",),
)
