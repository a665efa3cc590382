"""Convolutions of uint16, engine DNNLOWP_16."""

from __future__ import annotations

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops._taps import taps
from serverquant.ops._window import read_window, split_dims
from serverquant.ops.conv.int8 import expect_float_layers
from serverquant.ops.conv.schema import check_group
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.wide import Wide, WideOperator
from serverquant.qparams import QParams
from serverquant.runtime.registry import register


@register("Conv", "ConvRelu", engine=wide.ENGINE)
class WideConv(WideOperator):
    """Y = requantized exact sums, as engine DNNLOWP has them. filter: float or Int8 of uint16."""

    takes = ("int8:uint16", "float|int8:uint16", "float|int8:int32")
    quantized = (0,)

    def setup(self) -> None:
        super().setup()
        self.window, self.group = read_window(self), check_group(self)
        if self.options.dequantize_output:
            raise ArgumentError("dequantize_output does not go with convolutions: put Dequantize behind it")
        self.blocks = self.group if self.args.quantize_groupwise else 1

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if self.options.output is None:
            expect_float_layers(self, ins)

    def output_params(self, inputs: list[Blob], ins: list[Wide]) -> QParams:
        if self.options.output is not None or not self.window.nhwc:
            return super().output_params(inputs, ins)
        acc, scales = self.sums_and_scales(inputs, ins)
        return self.options.choose_output(*wide.value_range(acc.astype(np.float32) * scales))

    def sums_and_scales(self, inputs: list[Blob], ins: list[Wide]) -> tuple[np.ndarray, np.ndarray]:
        """Exact sums, channels last, and the scale of each output channel's units."""
        weight = wide.weight(inputs[1], self.blocks, self.options)
        scales = np.float32(ins[0].params.scale) * weight.scales
        scales = np.repeat(scales, len(weight.centred) // len(scales))
        acc = self.sums(ins[0].centred, weight.centred)
        return acc + wide.bias(inputs[2], scales) if len(inputs) > 2 else acc, scales

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        acc, scales = self.sums_and_scales(inputs, ins)
        y = wide.requantize(acc, scales / np.float32(out.scale), out, self.relu)
        return y if self.window.nhwc else np.moveaxis(y, -1, 1)

    def sums(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """int64, channels last, of an image and weights whose zero points were taken off."""
        nhwc, group = self.window.nhwc, self.group
        fit = self.window.fit(split_dims(x.shape, nhwc)[2])
        x, weight = (x, weight) if nhwc else (np.moveaxis(x, 1, -1), np.moveaxis(weight, 1, -1))
        each, channels = len(weight) // group, weight.shape[-1]
        by_tap = weight.reshape(group, each, -1, channels)
        acc = np.zeros((group, len(x), *fit.out_sizes, each), np.int64)
        for tap, part in enumerate(taps(x, fit, 1)):
            for g in range(group):
                acc[g] += wide.product(part[..., g * channels : (g + 1) * channels], by_tap[g, :, tap].T)
        return np.moveaxis(acc, 0, -2).reshape(*acc.shape[1:-1], group * each)
