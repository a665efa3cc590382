"""Pools of uint16, engine DNNLOWP_16."""

from __future__ import annotations

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.ops._taps import taps
from serverquant.ops._window import split_dims
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.wide import Wide, WideKept, WideOperator
from serverquant.ops.pool.base import PoolOperator
from serverquant.qparams import QParams
from serverquant.runtime.registry import register


@register("MaxPool", engine=wide.ENGINE)
class WideMaxPool(WideKept):
    """Of the integers; Y has X's parameters."""


@register("AveragePool", engine=wide.ENGINE)
class WideAveragePool(WideOperator):
    """Exact sums of the clipped window, requantized: rne(f32(f32(acc * f32(f32(sx / sy) / n)) + z))."""

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        assert isinstance(self.floats, PoolOperator)
        window = self.floats.window
        fit = window.fit(split_dims(inputs[0].dims, window.nhwc)[2])
        sizes = slice(1, -1) if window.nhwc else slice(2, None)
        x, inside = ins[0].centred, np.ones(fit.sizes, np.int64)
        acc = np.asarray(sum(taps(x, fit, 1 if window.nhwc else 2)))
        count = np.asarray(sum(taps(inside, fit, 0)))
        ratio = np.float32(ins[0].params.scale) / np.float32(out.scale)
        shape = [1] * x.ndim
        shape[sizes] = fit.out_sizes
        multipliers = (ratio / count.astype(np.float32)).reshape(shape)
        scaled = acc.astype(np.float32) * multipliers + np.float32(out.zero_point)
        return np.clip(np.rint(scaled), 0, out.qmax)
