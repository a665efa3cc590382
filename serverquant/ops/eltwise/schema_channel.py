"""Schemas of maps with parameters for each channel, row or column."""

from __future__ import annotations

import math
from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.ops.eltwise.broadcast import BROADCAST_ARGS, old_rule
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, axis_of

ORDER = Arg("order", "string", "NCHW", "NCHW or NHWC")
Dims = tuple[int, ...]


def channel_axis(op: Any, ins: list[Spec]) -> int:
    """Where the channels are, by `order`."""
    if op.args.order not in ("NCHW", "NHWC"):
        raise ArgumentError(f"argument order must be NCHW or NHWC, not {op.args.order!r}")
    if ins[0].ndim < 2:
        raise op.shape_error(ins, 0, "at least 2 dimensions")
    return 1 if op.args.order == "NCHW" else ins[0].ndim - 1


def prelu_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    channels = ins[0].dims[channel_axis(op, ins)]
    if ins[1].size not in (1, channels):
        raise op.shape_error(ins, 1, f"one value for each of the {channels} channels of input 0, or one for all")
    return [ins[0].dims]


def affine_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    channels = ins[0].dims[channel_axis(op, ins)]
    for i in (1, 2):
        if ins[i].size != channels:
            raise op.shape_error(ins, i, f"one value for each of the {channels} channels of input 0")
    return [ins[0].dims]


def linear_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis = axis_of(op.args.axis, ins[0].ndim)
    columns = math.prod(ins[0].dims[axis:])
    for i in (1, 2):
        if ins[i].dims != (columns,):
            raise op.shape_error(ins, i, f"one value for each of the {columns} columns of input 0")
    return [ins[0].dims]


def row_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if not ins[0].dims or ins[1].size != ins[0].dims[0]:
        raise op.shape_error(ins, 1, f"one value for each row of input 0, {ins[0].dims}")
    return [ins[0].dims]


def pow_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if len(ins) == 2 and op.args.broadcast:
        old_rule(op, ins)
    elif len(ins) == 2 and ins[1].dims != ins[0].dims:
        raise op.shape_error(ins, 1, f"the shape of input 0, {ins[0].dims}, or broadcast=1")
    return [ins[0].dims]


declare(
    "Pow",
    inputs=(1, 2),
    inplace=[(0, 0), (1, 0)],
    args=[Arg("exponent", "float", None, "instead of the second input"), *BROADCAST_ARGS],
    shape=pow_shape,
    doc="Y = X ^ exponent.",
    in_doc=("X: float tensor", "exponent: float tensor of X's shape, or broadcast over it by the old rule"),
    out_doc=("Y: tensor of X's shape",),
)
declare(
    "PRelu",
    inputs=2,
    inplace=[(0, 0)],
    args=[ORDER],
    shape=prelu_shape,
    doc="Y = X, and slope * X below 0, with a slope for each channel.",
    in_doc=("X: float tensor (N, C, ...) or (N, ..., C)", "slope: (C), or one value"),
    out_doc=("Y: tensor of X's shape",),
)
declare(
    "AffineChannel",
    inputs=3,
    inplace=[(0, 0)],
    args=[ORDER, Arg("is_learnable", "bool", False, "for training only")],
    shape=affine_shape,
    doc="Y = X * scale + bias, for each channel.",
    in_doc=("X: float tensor (N, C, ...) or (N, ..., C)", "scale: (C)", "bias: (C)"),
    out_doc=("Y: tensor of X's shape",),
)
declare(
    "ElementwiseLinear",
    "Int8ElementwiseLinear",
    inputs=3,
    args=[Arg("axis", "int", 1, "dims from it on are columns; may count from the end"), *OUTPUT_ARGS, *ARGS],
    shape=linear_shape,
    doc="Y = X * w + b, for each column of X seen as a matrix.",
    in_doc=("X: float tensor", "w: (columns)", "b: (columns)"),
    out_doc=("Y: tensor of X's shape",),
)
declare(
    "RowMul",
    inputs=2,
    shape=row_shape,
    doc="output = mat, each row times its w.",
    in_doc=("mat: float tensor (N, ...)", "w: N values"),
    out_doc=("output: tensor of mat's shape",),
)
