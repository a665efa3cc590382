"""Sum of uint16, engine DNNLOWP_16."""

from __future__ import annotations

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.wide import Wide, WideOperator
from serverquant.qparams import QParams, choose
from serverquant.runtime.registry import register


@register("Sum", "SumRelu", engine=wide.ENGINE)
class WideSum(WideOperator):
    """sum = data_0 + data_1 + ..., always through 16-bit intermediate parameters; float inputs are clamped as signed
    numbers, as in engine DNNLOWP."""

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        options = self.options
        lo, hi = min(i.params.min for i in ins), max(i.params.max for i in ins)
        mid = choose(lo, hi, options.eltwise_precision, options.symmetric_activations, options.power_of_two)
        total = np.zeros(inputs[0].dims, np.int64)
        for blob, item in zip(inputs, ins):
            total += _to_mid(item, mid) if blob.kind == INT8 else _float_to_mid(blob.view(), mid)
        total -= len(ins) * mid.zero_point
        if self.options.relu:
            total = np.maximum(total, 0)
        return wide.requantize(total, np.float32(mid.scale) / np.float32(out.scale), out)


def _to_mid(item: Wide, mid: QParams) -> np.ndarray:
    return wide.requantize(item.centred, np.float32(item.params.scale) / np.float32(mid.scale), mid)


def _float_to_mid(x: np.ndarray, mid: QParams) -> np.ndarray:
    half = 1 << (mid.precision - 1)
    scaled = x * (np.float32(1) / np.float32(mid.scale)) + np.float32(mid.zero_point)
    return np.rint(np.clip(np.nan_to_num(scaled), -half, half - 1)).astype(np.int64)
