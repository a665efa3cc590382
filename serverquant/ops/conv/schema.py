"""Schemas of the convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import OBJECT
from serverquant.ops._window import WINDOW_ARGS, split_dims, window_dims
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims

GROUP_ARG = Arg("group", "int", 1, "groups that channels and outputs are divided into")
GROUPWISE_ARG = Arg("quantize_groupwise", "bool", False, "quantize each group's float weights by parameters of its own")
CHANNELWISE_ARG = Arg("quantize_channelwise", "bool", False, "no effect: Caffe2's convolutions know quantize_groupwise")
KEPT_ARGS = [
    Arg("save_unpacked_weights", "bool", False, "keep the int8 weights beside their packed form"),
    Arg("in_scale", "float", None, "scale of the input to come; needed to quantize a bias"),
]


def filter_dims(op: Any, channels: int) -> Dims:
    """Dims that the weights of a convolution over so many channels have, but for the first."""
    return (*op.window.kernel, channels // op.group) if op.window.nhwc else (channels // op.group, *op.window.kernel)


def conv_dims(op: Any, ins: list) -> Sequence[Dims]:
    """Shape rule: the output's dims, after all shapes have been checked against each other."""
    x, w = ins[0], ins[1]
    if x.ndim != op.window.ndim + 2:
        raise op.shape_error(ins, 0, f"{op.window.ndim + 2} dimensions, since the kernel has {op.window.ndim}")
    channels = split_dims(x.dims, op.window.nhwc)[1]
    if channels == 0 or channels % op.group:
        raise ShapeError(f"{op.input_text(ins, 0)}: its {channels} channels do not divide into {op.group} groups")
    want = filter_dims(op, channels)
    if w.ndim != x.ndim or w.dims[1:] != want:
        raise ShapeError(
            f"{op.input_text(ins, 0)} and weights {op.input_text(ins, 1)} do not fit: with kernel "
            f"{list(op.window.kernel)}, group {op.group} and order {op.args.order} the weights must be "
            f"(outputs, {', '.join(map(str, want))})"
        )
    outputs = w.dims[0]
    if outputs == 0 or outputs % op.group:
        raise ShapeError(f"{op.input_text(ins, 1)}: its {outputs} outputs do not divide into {op.group} groups")
    if len(ins) > 2 and ins[2].kind != OBJECT and ins[2].dims != (outputs,):
        raise op.shape_error(ins, 2, f"({outputs},), an entry for each output of {op.input_text(ins, 1)}")
    return [window_dims(op, ins, outputs)]


def check_group(op: Any) -> int:
    """The argument group."""
    if op.args.group < 1:
        raise ArgumentError(f"argument group is {op.args.group}; it must be 1 or more")
    return int(op.args.group)


declare(
    "Conv",
    "ConvRelu",
    "Int8Conv",
    "Int8ConvRelu",
    inputs=(2, 3),
    args=[*WINDOW_ARGS, GROUP_ARG, GROUPWISE_ARG, CHANNELWISE_ARG, *OUTPUT_ARGS, *ARGS],
    shape=conv_dims,
    doc="""Convolution in one to three dimensions, with groups, strides, pads and dilation; ...Relu: negative outputs
become 0. Every output channel is the sum over its group's channels and the kernel of input times weight, plus its bias.

Int8 tensors are padded with the input's zero point; sums are exact. Without Y_scale the output's parameters are chosen
at every run from the range of a float convolution, which needs float weights and bias.""",
    in_doc=[
        "X: N x C x sizes (NCHW) or N x sizes x C (NHWC)",
        "filter: M x C/group x kernel (NCHW) or M x kernel x C/group (NHWC); DNNLOWP: float, Int8 or packed weights",
        "bias: M, optional; DNNLOWP: float, or Int8 of int32 with scale X's * filter's (within 1e-4) and zero point 0",
    ],
    out_doc=["Y: N x M x sizes or N x sizes x M"],
)
declare(
    "Int8ConvPackWeight",
    inputs=(1, 2),
    args=[*WINDOW_ARGS, GROUP_ARG, GROUPWISE_ARG, CHANNELWISE_ARG, *KEPT_ARGS, *ARGS],
    doc="Quantizes and packs the weights (and bias) of an NHWC convolution, once, for Int8Conv to use.",
    in_doc=["filter: M x kernel x C/group, float or Int8", "bias: M, float or Int8 of int32; needs in_scale"],
    out_doc=["packed weights"],
)
