"""Schemas of normalisation and softmax."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, axis_of


def channel_axis(op: Any, ndim: int) -> int:
    """Where the channels are, by `order`."""
    return 1 if op.args.order == "NCHW" else ndim - 1


def spatial_bn_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    if ins[0].ndim < 2:
        raise op.shape_error(ins, 0, "at least 2 dimensions")
    channels = ins[0].dims[channel_axis(op, ins[0].ndim)]
    for i in range(1, 5):
        if ins[i].dims != (channels,):
            raise op.shape_error(ins, i, f"one value for each of the {channels} channels of input 0")
    return [ins[0].dims]


def softmax_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    axis_of(op.args.axis, ins[0].ndim, extra=1)
    return [ins[0].dims]


declare(
    "SpatialBN",
    inputs=(5, 7),
    outputs=(1, 5),
    inplace=[(0, 0), (5, 3), (5, 4)],
    args=[
        Arg("is_test", "int", 0, "must be 1: only inference is supported"),
        Arg("epsilon", "float", 1e-5, "added to the variance"),
        Arg("order", "string", "NCHW", "NCHW or NHWC"),
        Arg("momentum", "float", 0.9, "not used in a test"),
        Arg("num_batches", "int", 1, "not used in a test"),
    ],
    shape=spatial_bn_shape,
    doc="Y = X * alpha + beta, alpha = scale / sqrt(var + epsilon), beta = bias - alpha * mean, for each channel.",
    in_doc=("X: (N, C, ...) or (N, ..., C)", "scale: (C)", "bias: (C)", "mean: (C)", "var: (C)"),
    out_doc=("Y: tensor of X's shape",),
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
