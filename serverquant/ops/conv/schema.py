"""Schemas of the convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import OBJECT
from serverquant.ops._window import (
    ORDER_ARG,
    WINDOW_ARGS,
    axis_forms,
    join_dims,
    pad_forms,
    split_dims,
    window_dims,
)
from serverquant.ops.dnnlowp import acc16
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS, WEIGHT_SCALES
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
    check_ndim(op)
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


def check_ndim(op: Any) -> None:
    """ArgumentError for a kernel that has not as many dimensions as the type's name says (Conv1D, LC3D)."""
    if op.type[-2:-1].isdigit() and op.window.ndim != int(op.type[-2]):
        raise ArgumentError(f"{op.type} takes a kernel of {op.type[-2]} dimensions, not {list(op.window.kernel)}")


def check_group(op: Any) -> int:
    """The argument group."""
    if op.args.group < 1:
        raise ArgumentError(f"argument group is {op.args.group}; it must be 1 or more")
    return int(op.args.group)


declare(
    "Conv",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvRelu",
    "Int8Conv",
    "Int8ConvRelu",
    inputs=(2, 3),
    args=[
        *WINDOW_ARGS,
        GROUP_ARG,
        GROUPWISE_ARG,
        CHANNELWISE_ARG,
        WEIGHT_SCALES,
        *acc16.ARGS,
        *OUTPUT_ARGS,
        *ARGS,
    ],
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
    args=[*WINDOW_ARGS, GROUP_ARG, GROUPWISE_ARG, CHANNELWISE_ARG, *KEPT_ARGS, *acc16.ARGS, *ARGS],
    doc="Quantizes and packs the weights (and bias) of an NHWC convolution, once, for Int8Conv to use.",
    in_doc=["filter: M x kernel x C/group, float or Int8", "bias: M, float or Int8 of int32; needs in_scale"],
    out_doc=["packed weights"],
)


# ---- transposed ----------------------------------------------------------------------------------------------------


def transposed_dims(op: Any, ins: list) -> Sequence[Dims]:
    """Shape rule of ConvTranspose: (size - 1) * stride + kernel + adj - pads."""
    x, w, kernel = ins[0], ins[1], op.window.kernel
    if x.ndim != len(kernel) + 2:
        raise op.shape_error(ins, 0, f"{len(kernel) + 2} dimensions, since the kernel has {len(kernel)}")
    batch, channels, sizes = split_dims(x.dims, op.window.nhwc)
    if channels == 0 or channels % op.group:
        raise ShapeError(f"{op.input_text(ins, 0)}: its {channels} channels do not divide into {op.group} groups")
    if w.ndim != x.ndim or w.dims[0] != channels or (w.dims[1:-1] if op.window.nhwc else w.dims[2:]) != kernel:
        want = "(inputs, kernel, outputs / group)" if op.window.nhwc else "(inputs, outputs / group, kernel)"
        raise ShapeError(
            f"{op.input_text(ins, 0)} and weights {op.input_text(ins, 1)} do not fit: with kernel {list(kernel)} and "
            f"order {op.args.order} the weights must be {want}, with {channels} inputs"
        )
    outputs = (w.dims[-1] if op.window.nhwc else w.dims[1]) * op.group
    if outputs == 0:
        raise op.shape_error(ins, 1, "at least one output")
    if len(ins) > 2 and ins[2].dims != (outputs,):
        raise op.shape_error(ins, 2, f"({outputs},), an entry for each output of {op.input_text(ins, 1)}")
    return [join_dims(batch, outputs, op.out_sizes(sizes), op.window.nhwc)]


TRANSPOSED_ARGS = [
    *axis_forms("kernel", "kernels", "sizes of the window", "needed, in one of these forms"),
    *axis_forms("stride", "strides", "steps of the window", "1 when missing"),
    *axis_forms("adj", "adjs", "rows added behind the output", "0 when missing, at most the stride"),
    *pad_forms(),
    Arg("legacy_pad", "int", 0, "0: the pads given; 1 (VALID) and 2 (SAME): none"),
    ORDER_ARG,
    GROUP_ARG,
]

declare(
    "ConvTranspose",
    inputs=(2, 3),
    args=[
        *TRANSPOSED_ARGS,
        Arg("no_bias", "bool", False, "no effect: it is about gradients"),
        Arg("shared_buffer", "bool", False, "no effect"),
        Arg("convolution_transpose_algo", "int", 0, "no effect"),
    ],
    shape=transposed_dims,
    doc="""Transposed convolution: every input pixel adds its channels times the filter to the outputs under the window,
which moves by the stride; the pads are cut off.""",
    in_doc=[
        "X: N x M x sizes (NCHW) or N x sizes x M (NHWC)",
        "filter: M x C/group x kernel (NCHW) or M x kernel x C/group (NHWC)",
        "bias: C, optional",
    ],
    out_doc=["Y: N x C x sizes or N x sizes x C"],
)


# ---- locally connected ---------------------------------------------------------------------------------------------


def local_dims(op: Any, ins: list) -> Sequence[Dims]:
    """Shape rule of LC: that of a convolution, whose weights have the output's sizes in front."""
    x, w, n = ins[0], ins[1], op.window.ndim
    check_ndim(op)
    if x.ndim != n + 2:
        raise op.shape_error(ins, 0, f"{n + 2} dimensions, since the kernel has {n}")
    batch, channels, sizes = split_dims(x.dims, op.window.nhwc)
    out_sizes = op.window.fit(sizes).out_sizes
    if channels == 0 or channels % op.group:
        raise ShapeError(f"{op.input_text(ins, 0)}: its {channels} channels do not divide into {op.group} groups")
    want = filter_dims(op, channels)
    if w.ndim != 2 * n + 2 or w.dims[:n] != out_sizes or w.dims[n + 1 :] != want:
        text = ", ".join([*map(str, out_sizes), "outputs", *map(str, want)])
        raise op.shape_error(ins, 1, f"({text})")
    outputs = w.dims[n]
    if outputs == 0 or outputs % op.group:
        raise ShapeError(f"{op.input_text(ins, 1)}: its {outputs} outputs do not divide into {op.group} groups")
    if len(ins) > 2 and ins[2].dims != (*out_sizes, outputs):
        raise op.shape_error(ins, 2, f"{(*out_sizes, outputs)}, an entry for each output")
    return [join_dims(batch, outputs, out_sizes, op.window.nhwc)]


declare(
    "LC",
    "LC1D",
    "LC2D",
    "LC3D",
    inputs=(2, 3),
    args=[*WINDOW_ARGS, GROUP_ARG],
    shape=local_dims,
    doc="Locally connected layer: a convolution whose every output pixel has weights and biases of its own.",
    in_doc=[
        "X: N x C x sizes (NCHW) or N x sizes x C (NHWC)",
        "filter: output sizes x M x C/group x kernel (NCHW), or output sizes x M x kernel x C (NHWC)",
        "bias: output sizes x M, optional",
    ],
    out_doc=["Y: N x M x output sizes or N x output sizes x M"],
)


# ---- columns -------------------------------------------------------------------------------------------------------

COLUMN_ARGS = [
    *(Arg(f"{name}{side}", "int", None, f"{what}: {'both axes' if not side else side[1:]}")
      for name, what in (("kernel", "size of the window"), ("stride", "step of the window, 1 when missing"),
                         ("dilation", "distance between its elements, 1 when missing"))
      for side in ("", "_h", "_w")),
    Arg("pad", "int", 0, "padding on all sides"),
    ORDER_ARG,
]  # fmt: skip


def im2col_dims(op: Any, ins: list) -> Sequence[Dims]:
    batch, channels, out = op.columns(ins[0].dims)
    made = channels * op.kernel[0] * op.kernel[1]
    return [(batch, *out, made) if op.nhwc else (batch, made, *out)]


def col2im_dims(op: Any, ins: list) -> Sequence[Dims]:
    batch, channels, out = op.columns(ins[1].dims)
    size = batch * channels * op.kernel[0] * op.kernel[1] * out[0] * out[1]
    if ins[0].size != size:
        raise op.shape_error(ins, 0, f"{size} elements: what Im2Col makes of {op.input_text(ins, 1)}")
    return [ins[1].dims]


declare(
    "Im2Col",
    inputs=1,
    args=COLUMN_ARGS,
    shape=im2col_dims,
    doc="What each position of a 2-D window sees, side by side; zeros in the padding.",
    in_doc=["X: N x C x H x W or N x H x W x C"],
    out_doc=["Y: N x (C kernel_h kernel_w) x OH x OW or N x OH x OW x (kernel_h kernel_w C)"],
)
declare(
    "Col2Im",
    inputs=2,
    args=COLUMN_ARGS,
    shape=col2im_dims,
    doc="Adds columns, as Im2Col makes them, up into images.",
    in_doc=["X: columns, as many elements as Im2Col makes of Z", "Z: an image of the output's shape"],
    out_doc=["Y: tensor of Z's shape"],
)
