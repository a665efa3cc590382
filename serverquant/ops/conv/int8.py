"""What int8 convolutions of both sets share: geometry, checks of types, weights from a blob."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, Spec
from serverquant.kernels.conv._conv import Geometry, pack_conv
from serverquant.ops._window import WindowArgs, split_dims
from serverquant.ops.conv import _conv
from serverquant.ops.dnnlowp.chain import LAYER, Link
from serverquant.ops.dnnlowp.options import Options
from serverquant.ops.dnnlowp.weights import LayerWeight, read_weight, spread
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator

if TYPE_CHECKING:
    from collections.abc import Hashable


class Int8ConvBase(Link):
    """An int8 convolution: `window` and `group` are read in setup, `output_type` is Int8 of uint8."""

    packs = (1,)
    window: WindowArgs
    group: int

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, INT8

    def kind(self) -> int | None:
        return LAYER if self.window.nhwc else None

    def takes_head(self) -> bool:
        return True

    def set_head(self, step: Step, head: Step) -> None:
        _conv.set_head(step, head)

    def geometry(self, ins: list[Spec]) -> Geometry:
        batch, channels, sizes = split_dims(ins[0].dims, self.window.nhwc)
        fit = self.window.fit(sizes)
        return Geometry(
            sizes, fit.kernel, fit.strides, fit.pads, fit.dilations, channels, ins[1].dims[0], self.group, batch
        )


def expect_float_layers(op: Operator, ins: list[Spec]) -> None:
    """QuantizationError unless weights and bias are float, which a float convolution to choose parameters needs."""
    for i in range(1, len(ins)):
        if not ins[i].is_float:
            raise QuantizationError(
                f"{op.input_text(ins, i)} must be float when the output's parameters are chosen while running; give "
                "Y_scale and Y_zero_point"
            )


def pack_weight(blob: Blob, group: int, blocks: int, nhwc: bool, options: Options) -> LayerWeight:
    """Weights [M, kernel..., C/group] (nhwc) or [M, C/group, kernel...], float or Int8, packed.

    blocks: so many runs of output channels are quantized by parameters of their own, if the weights are float.
    """
    weights, params = read_weight(blob, blocks, options)
    scales, zero_points = spread(params, weights.shape[0])
    last = weights if nhwc else np.ascontiguousarray(np.moveaxis(weights, 1, -1))
    return LayerWeight(pack_conv(last, group, zero_points), scales, len(params), pairs=saturating_pairs(last, group))


def saturating_pairs(weights: np.ndarray, group: int) -> np.ndarray | None:
    """int8 [9, M] of depthwise 3x3 weights [M, 3, 3, 1], if uint8 inputs can make the sum of two neighbouring taps, in
    Caffe2's order, leave int16; else None."""
    if weights.shape != (group, 3, 3, 1):
        return None
    taps = weights.reshape(group, 9)
    pairs = taps[:, :8].reshape(group, 4, 2).astype(np.int32)
    high, low = np.maximum(pairs, 0).sum(-1) * 255, np.minimum(pairs, 0).sum(-1) * 255
    if high.max() <= np.iinfo(np.int16).max and low.min() >= np.iinfo(np.int16).min:
        return None
    return np.ascontiguousarray(taps.T)


def weight_key(group: int, blocks: int, nhwc: bool, options: Options) -> Hashable:
    """What packed weights depend on, their blob aside."""
    return "conv_u8", group, blocks, nhwc, *options.weight_choice, options.weight_scales


def packed_geometry(window: WindowArgs, group: int) -> dict[str, object]:
    """What packed weights and the convolution that uses them must agree in."""
    return {"group": group, "kernel": window.kernel}
