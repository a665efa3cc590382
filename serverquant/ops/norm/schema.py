"""Schemas of normalisation and softmax."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from serverquant._base.errors import DTypeError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.ops._window import ORDER_ARG
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims, axis_of, same_as_first


def channel_axis(op: Any, ndim: int) -> int:
    """Where the channels are, by `order`."""
    return 1 if op.args.order == "NCHW" else ndim - 1


def image_channels(op: Any, ins: list[Spec]) -> int:
    """The channels of input 0, an image of two dimensions or more."""
    if ins[0].ndim < 2:
        raise op.shape_error(ins, 0, "at least 2 dimensions")
    channels = ins[0].dims[channel_axis(op, ins[0].ndim)]
    if channels == 0:
        raise op.shape_error(ins, 0, "at least one channel")
    return channels


def check_channel_values(op: Any, ins: list[Spec], inputs: Iterable[int], channels: int) -> None:
    """ShapeError unless these inputs have a value for each channel."""
    for i in inputs:
        if ins[i].size != channels:
            raise op.shape_error(ins, i, f"one value for each of the {channels} channels of input 0")


def spatial_bn_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    channels = image_channels(op, ins)
    check_channel_values(op, ins, range(1, 7 if op.args.num_batches > 1 and not op.args.is_test else 5), channels)
    return [ins[0].dims] + [(channels,)] * 4


def grouped_norm_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    channels = image_channels(op, ins)
    groups = op.groups(channels)
    if channels % groups:
        raise ShapeError(f"{op.input_text(ins, 0)}: its {channels} channels do not divide into {groups} groups")
    check_channel_values(op, ins, (1, 2), channels)
    if ins[0].size == 0 and ins[0].dims[0]:
        raise op.shape_error(ins, 0, "at least one pixel")
    return [ins[0].dims] + [(ins[0].dims[0], groups)] * 2


def _check_row_values(op: Any, ins: list[Spec], axis: int) -> None:
    """ShapeError unless inputs 1 and 2 have a value for each place of a row, and a row has places."""
    places = math.prod(ins[0].dims[axis:])
    if places == 0 and math.prod(ins[0].dims[:axis]) > 0:
        raise op.shape_error(ins, 0, f"at least one element from axis {axis} on")
    for i in (1, 2):
        if len(ins) > i and ins[i].dtype != ins[0].dtype:
            raise DTypeError(f"{op.input_text(ins, i)} and {op.input_text(ins, 0)} must have one data type")
        if len(ins) > i and ins[i].size != places:
            raise op.shape_error(ins, i, f"{places} elements: one for each from axis {axis} of input 0 on")


def layer_norm_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 2:
        raise op.shape_error(ins, 0, "at least 2 dimensions")
    axis = axis_of(op.args.axis, ins[0].ndim)
    _check_row_values(op, ins if op.args.elementwise_affine else ins[:1], axis)
    return [ins[0].dims] + [(*ins[0].dims[:axis], 1)] * 2


def rms_norm_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis = axis_of(op.args.axis, ins[0].ndim)
    _check_row_values(op, ins, axis)
    return [ins[0].dims, ins[0].dims[:axis]]


def lrn_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 4:
        raise op.shape_error(ins, 0, "4 dimensions")
    return [ins[0].dims] * 2


def softmax_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis_of(op.args.axis, ins[0].ndim, extra=1)
    return [ins[0].dims]


IMAGE, CHANNEL = "X: (N, C, ...) or (N, ..., C)", "one value for each channel"
declare(
    "SpatialBN",
    "Int8SpatialBN",
    "Int8SpatialBNRelu",
    inputs=(5, 7),
    outputs=(1, 5),
    inplace=[(0, 0), (3, 1), (4, 2), (5, 3), (6, 4)],
    args=[
        Arg("is_test", "int", 0, "needed. 1: the mean and variance given; 0: those of the batch"),
        Arg("epsilon", "float", 1e-5, "added to the variance"),
        ORDER_ARG,
        Arg("momentum", "float", 0.9, "training: share of the old running mean and variance in the new"),
        Arg("num_batches", "int", 1, "training: batches that inputs 5 and 6 are sums over; 1: statistics of X alone"),
        *OUTPUT_ARGS,
        *ARGS,
    ],
    shape=spatial_bn_shape,
    doc="""Y = X * alpha + beta, alpha = scale / sqrt(var + epsilon), beta = bias - alpha * mean, for each channel.

Training (is_test=0) takes mean and variance of the batch and moves the running ones towards them, the variance without
bias (N / (N - 1)).""",
    in_doc=(IMAGE, "scale: (C)", "bias: (C)", "mean: (C)", "var: (C)", "sums: (C), of X over num_batches batches",
            "sumsq: (C), of X's squares"),
    out_doc=("Y: tensor of X's shape", "running mean: input 3, updated", "running var: input 4, updated",
             "saved mean: (C)", "saved inverse deviation: (C)"),
)  # fmt: skip
EPSILON = Arg("epsilon", "float", 1e-5, "added to the variance")
declare(
    "GroupNorm",
    "Int8GroupNorm",
    inputs=3,
    outputs=(1, 3),
    args=[
        Arg("group", "int", 32, "groups that the channels are divided into"),
        EPSILON,
        ORDER_ARG,
        Arg("is_test", "bool", True, "0: all three outputs are needed"),
        *OUTPUT_ARGS,
        *ARGS,
    ],
    shape=grouped_norm_shape,
    doc="""Y = (X - mean) / sqrt(var + epsilon) * gamma + beta, mean and var over a group of channels of an image.
Engine DNNLOWP gives Y alone.""",
    in_doc=(
        IMAGE,
        f"gamma: {CHANNEL}; DNNLOWP: float or Int8 of uint8",
        f"beta: {CHANNEL}; DNNLOWP: float, or Int8 of int32 with scale X's * gamma's (within 1e-4) and zero point 0",
    ),
    out_doc=("Y: tensor of X's shape", "mean: (N, group)", "inverse deviation: (N, group)"),
)
declare(
    "InstanceNorm",
    inputs=3,
    outputs=(1, 3),
    inplace=[(0, 0)],
    args=[EPSILON, ORDER_ARG],
    shape=grouped_norm_shape,
    doc="Y = (X - mean) / sqrt(var + epsilon) * scale + bias, mean and var over a channel of an image.",
    in_doc=(IMAGE, f"scale: {CHANNEL}", f"bias: {CHANNEL}"),
    out_doc=("Y: tensor of X's shape", "mean: (N, C)", "inverse deviation: (N, C)"),
)
declare(
    "LayerNorm",
    inputs=(1, 3),
    outputs=3,
    args=[
        Arg("axis", "int", 1, "dims from it on are normalised together; may count from the end"),
        EPSILON,
        Arg("elementwise_affine", "bool", False, "1: multiply by gamma and add beta"),
    ],
    shape=layer_norm_shape,
    doc="Y = (X - mean) / sqrt(var + epsilon) over the dims from `axis` on. Float or double.",
    in_doc=("X: tensor of two dims or more", "gamma: X's dims from the axis on", "beta: the same"),
    out_doc=("Y: tensor of X's shape", "mean: X's dims before the axis, then 1", "deviation: the same"),
)
declare(
    "RMSNorm",
    inputs=3,
    outputs=2,
    args=[
        Arg("axis", "int", 1, "dims from it on are normalised together; may count from the end"),
        Arg("eps", "float", 0.0, "added to the mean square"),
        Arg("epsilon", "float", 0.0, "no effect: the argument is eps"),
    ],
    shape=rms_norm_shape,
    doc="Y = X / sqrt(mean of X^2 + eps) * gamma + beta over the dims from `axis` on. Float or double.",
    in_doc=("X: tensor", "gamma: X's dims from the axis on", "beta: the same"),
    out_doc=("Y: tensor of X's shape", "1 / root: X's dims before the axis"),
)
declare(
    "LRN",
    inputs=1,
    outputs=(1, 2),
    args=[
        Arg("size", "int", 0, "needed: channels of the window, (size - 1) / 2 of them before"),
        Arg("alpha", "float", 0.0, "factor of the mean square"),
        Arg("beta", "float", 0.0, "power"),
        Arg("bias", "float", 1.0, "added to the mean square"),
        ORDER_ARG,
    ],
    shape=lrn_shape,
    doc="""Local response normalisation: Y = X / scale^beta, scale = bias + alpha / size * sum of X^2 over the
neighbouring channels.""",
    in_doc=("X: (N, C, H, W) or (N, H, W, C)",),
    out_doc=("Y: tensor of X's shape", "scale: the same"),
)
declare(
    "Softmax",
    inputs=1,
    inplace=[(0, 0)],
    args=[Arg("axis", "int", 1, "dims from it on are normalised together; may count from the end")],
    shape=softmax_shape,
    doc="Y = exp(X) / sum(exp(X)) over rows of the input seen as a matrix, split at `axis`.",
    in_doc=("input: tensor",),
    out_doc=("output: tensor of the input's shape",),
)


# ---- moments and norms ---------------------------------------------------------------------------------------------


def channel_moments_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    return [(image_channels(op, ins),)] * 2


def moments_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axes = op.axes(ins[0].ndim)
    kept = ((1,) if i in axes else (d,) for i, d in enumerate(ins[0].dims) if op.args.keepdims or i not in axes)
    return [tuple(d for dims in kept for d in dims)] * 2


def normalize_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis_of(op.args.axis, ins[0].ndim)
    return [ins[0].dims]


AXIS = Arg("axis", "int", -1, "dim along which the norm is taken; may count from the end")
declare(
    "BatchMoments",
    inputs=1,
    outputs=2,
    args=[ORDER_ARG],
    shape=channel_moments_shape,
    doc="Mean, and mean of squares, of every channel over all images.",
    in_doc=(IMAGE,),
    out_doc=("mean: (C)", "mean of squares: (C)"),
)
declare(
    "ChannelStats",
    inputs=1,
    outputs=2,
    args=[ORDER_ARG],
    shape=channel_moments_shape,
    doc="Sum, and sum of squares, of every channel over all images.",
    in_doc=(IMAGE,),
    out_doc=("sum: (C)", "sum of squares: (C)"),
)
declare(
    "Moments",
    inputs=1,
    outputs=2,
    args=[
        Arg("axes", "ints", (), "dims to reduce; all if there are none"),
        Arg("keepdims", "bool", True, "keep the reduced dims, as 1"),
    ],
    shape=moments_shape,
    doc="Mean and variance over some dims.",
    in_doc=("X: tensor",),
    out_doc=("mean", "variance: sum of squared distances / number of elements"),
)
declare(
    "Normalize",
    "NormalizeL1",
    inputs=1,
    args=[AXIS],
    shape=normalize_shape,
    doc="X divided by its 2-norm (at least 1e-12), or by its 1-norm (zeros stay), along a dim.",
    in_doc=("X: tensor",),
    out_doc=("Y: tensor of X's shape",),
)
declare(
    "LpNorm",
    inputs=1,
    args=[
        Arg("p", "int", 2, "1: sum of absolute values, 2: sum of squares (no root is taken)"),
        Arg("average", "bool", False, "divide by the number of elements"),
    ],
    shape=lambda op, ins: [(1,)],
    doc="Sum of |X|^p over all elements.",
    in_doc=("X: tensor",),
    out_doc=("Z: one element",),
)

declare(
    "Dropout",
    inputs=1,
    outputs=(1, 2),
    inplace=[(0, 0)],
    args=[
        Arg("is_test", "int", 0, "needed. 1: Y = X; 0: drop elements"),
        Arg("ratio", "float", 0.5, "share of the elements that are dropped, 0 <= ratio < 1"),
    ],
    shape=same_as_first,
    doc="""Training: elements become 0 at random (`numpy.random.seed` makes it repeatable), the others are divided by
1 - ratio. A test copies.""",
    in_doc=("data: float tensor; a test takes Int8 too",),
    out_doc=("output: tensor of the input's shape", "mask: bool, what is kept; a test keeps all"),
)
