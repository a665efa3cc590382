"""Convolution of float tensors."""

from __future__ import annotations

from functools import partial
from typing import Any

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.kernels._window import Window
from serverquant.kernels.conv_f32._conv_f32 import ConvF32
from serverquant.kernels.gemm_f32._gemm_f32 import PackedWeightF32, unpack
from serverquant.ops._bounds import RELU, TakesBounds
from serverquant.ops._window import read_window, split_dims
from serverquant.ops.conv import _conv
from serverquant.ops.conv.schema import check_group
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


def float_conv(op: Any, ins: list[Spec]) -> ConvF32:
    """The kernel's plan for an operator with `window` and `group`, whose inputs 0 and 1 have these dims."""
    batch, channels, sizes = split_dims(ins[0].dims, op.window.nhwc)
    fit = op.window.fit(sizes)
    window = Window(sizes, fit.kernel, fit.strides, fit.pads, fit.dilations, fit.out_sizes)
    return ConvF32(window, batch, channels, ins[1].dims[0], op.group, "NHWC" if op.window.nhwc else "NCHW")


def packed_f32(blob: Blob, conv: ConvF32) -> PackedWeightF32:
    """The float weights packed for that kernel, once for all nets that use this version of them."""
    again = partial(unpack, shape=blob.dims, pack_again=conv.pack)
    return blob.packed(conv.packing, lambda: conv.pack(blob.view()), again)


@register("Conv", "Conv1D", "Conv2D", "Conv3D", "ConvRelu")
class Conv(TakesBounds):
    """Y = convolution of X with the filter, + bias. All float, NCHW or NHWC, one to three spatial dimensions."""

    takes = "float"
    packs = (1,)

    def setup(self) -> None:
        self.window, self.group = read_window(self), check_group(self)
        self.bounds = RELU if self.type == "ConvRelu" else None

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        conv = float_conv(self, ins)
        step = _conv.float_step(conv, bounds=self.bounds)
        step.prepare = partial(self.prepare, step, conv)
        return step

    def prepare(self, step: Step, conv: ConvF32, inputs: list[Blob], outputs: list[Blob]) -> None:
        weight = packed_f32(inputs[1], conv)
        _conv.set_float_weight(step, weight, inputs[1].version)
