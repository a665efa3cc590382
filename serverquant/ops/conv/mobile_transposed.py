"""Transposed convolution of the mobile set (no engine): NHWC, everything Int8, fixed-point requantization."""

from __future__ import annotations

from functools import partial

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, Spec
from serverquant.kernels._window import Window
from serverquant.kernels.gemm._gemm import pack
from serverquant.ops._window import split_dims
from serverquant.ops.conv import _int8_transposed
from serverquant.ops.conv.transposed import ConvTranspose
from serverquant.ops.dnnlowp.options import PLAIN, mobile_output
from serverquant.ops.dnnlowp.weights import LayerWeight, read_weight, spread
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Decline
from serverquant.runtime.registry import register


@register("Int8ConvTranspose")
class MobileConvTranspose(ConvTranspose):
    """Y = exact sums, requantized by a 31-bit fixed-point multiplier, which must be less than 1.

    X, Y: Int8 of uint8, N x H x W x C. filter: Int8 of uint8, inputs x kernel x outputs. bias: Int8 of int32, whose
    scale is not looked at.
    """

    takes = ("int8", "int8", "int8:int32")

    def setup(self) -> None:
        super().setup()
        if not self.window.nhwc:
            raise Decline("needs order NHWC")
        if self.group != 1:
            raise ArgumentError(f"argument group is {self.group}; Int8ConvTranspose takes 1 only")
        self.output = mobile_output(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, INT8

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        w = self.window
        _, channels, sizes = split_dims(ins[0].dims, True)
        _, outputs, out_sizes = split_dims(outs[0].dims, True)
        window = Window(out_sizes, w.kernel, w.strides, w.pads, w.dilations, sizes)
        step = _int8_transposed.transposed_step(
            window, channels, outputs, self.output.scale, self.output.zero_point
        )
        step.prepare = partial(self.prepare, step)
        return step

    def prepare(self, step: Step, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Turn the weights around and pack them, once for all nets that use this version of them."""
        blob = inputs[1]
        weight = blob.packed("conv_transpose_u8", partial(pack_rows, blob))
        _int8_transposed.set_int8_weight(step, weight, blob.version)


def pack_rows(blob: Blob) -> LayerWeight:
    """Rows (tap, output) of the weights [inputs, kernel..., outputs]."""
    weights, params = read_weight(blob, 1, PLAIN)
    rows = np.ascontiguousarray(weights.reshape(weights.shape[0], -1).T)
    scales, zero_points = spread(params, len(rows))
    return LayerWeight(pack(rows, zero_point=zero_points), scales, 1)
