"""GroupNorm on Int8 tensors, engine DNNLOWP."""

from __future__ import annotations

import math

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8
from serverquant.kernels.norm import _norm
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.options import multiplier_bits
from serverquant.ops.dnnlowp.wide import Wide, WideOperator
from serverquant.qparams import QParams, choose, dequantize, find_min_max
from serverquant.runtime.registry import register


@register("GroupNorm", "Int8GroupNorm", engine="DNNLOWP")
class DnnlowpGroupNorm(WideOperator):
    """Moments of the integers, then one integer scale and bias for each channel of an image: q * scale + bias is
    requantized in fixed point in whole blocks of eight neighbours, and by a float multiplier behind them.

    With dequantize_output it is the float operator on the dequantized input.
    """

    bits = 8
    takes = ("int8|float", "int8|float", "int8:int32|float")
    quantized = (0,)

    def setup(self) -> None:
        super().setup()
        if len(self.outputs) != 1:
            raise ArgumentError(f"engine DNNLOWP gives Y alone, not {len(self.outputs)} outputs")
        self.multiplier_bits = multiplier_bits(self)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        if self.options.dequantize_output:
            outputs[0].view()[...] = self.run_floats([self._as_quantized(inputs[0]), *inputs[1:]])
        else:
            super().call(inputs, outputs)

    def is_bare(self, inputs: list[Blob], output: Blob) -> bool:
        return 0 in output.dims

    def _as_quantized(self, blob: Blob) -> Blob:
        """A float blob of what X's integers stand for."""
        x = self.read(blob)
        floats = Blob(blob.name)
        floats.feed(dequantize(x.q, x.params))
        return floats

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        nhwc, group = self.args.order == "NHWC", self.args.group
        x, sx = ins[0], np.float32(ins[0].params.scale)
        dims = x.q.shape
        channels = dims[-1] if nhwc else dims[1]
        images = x.q.reshape(dims[0], *((-1, channels) if nhwc else (channels, -1)))
        mean, rsig = moments(images, group, nhwc, sx, np.float32(self.args.epsilon))
        mu = round_half_away(mean) - x.params.zero_point
        gamma, s_g = self._gamma(inputs[1])
        beta = wide.bias(inputs[2], np.full(channels, sx * s_g, np.float32))
        s_r = np.float32(self._choose(rsig).scale)
        whole_rsig = np.rint(rsig * (np.float32(1) / s_r)).astype(np.int64)
        spread = channels // group
        scale = gamma * np.repeat(whole_rsig, spread, 1)
        offset = np.repeat(mu + x.params.zero_point, spread, 1)
        bias = fixed_point(beta, np.float32(1) / s_r, self.multiplier_bits) - scale * offset
        y = np.empty(images.shape, np.uint8)
        self._requantize(images, y, scale, bias, nhwc, s_r * s_g * sx / np.float32(out.scale), out)
        return y.reshape(dims)

    def _requantize(
        self,
        images: np.ndarray,
        y: np.ndarray,
        scale: np.ndarray,
        bias: np.ndarray,
        nhwc: bool,
        factor: np.float32,
        out: QParams,
    ) -> None:
        multiplier, half, shift = fixed_multiplier(factor, self.multiplier_bits)
        _norm.group_u8(
            images,
            y,
            scale.astype(np.int32),
            bias.astype(np.int32),
            nhwc=nhwc,
            multiplier=multiplier,
            half=half,
            shift=shift,
            factor=float(factor),
            zero_point=out.zero_point,
            hi=out.qmax,
        )

    def _gamma(self, blob: Blob) -> tuple[np.ndarray, np.float32]:
        """Whole numbers, and the scale of their units."""
        if blob.kind == INT8:
            return blob.view().reshape(-1).astype(np.int64) - blob.zero_point, np.float32(blob.scale)
        values = blob.view().reshape(-1)
        scale = np.float32(self._choose(values).scale)
        return np.rint(values * (np.float32(1) / scale)).astype(np.int64), scale

    def _choose(self, values: np.ndarray) -> QParams:
        options = self.options
        lo, hi = find_min_max(values)
        return choose(lo, hi, options.weight_precision, options.symmetric_weights, options.power_of_two)


def moments(
    images: np.ndarray, group: int, nhwc: bool, scale: np.float32, epsilon: np.float32
) -> tuple[np.ndarray, np.ndarray]:
    """(mean of the bytes, inverse deviation of the values), [N, groups]. images: NHWC [N, pixels, channels], or NCHW
    [N, channels, pixels]."""
    n, pixels, channels = images.shape if nhwc else (images.shape[0], images.shape[2], images.shape[1])
    sums, squares = np.empty((2, n, channels), np.uint64)
    _norm.channel_sums_u8(images, sums, squares, nhwc=nhwc)
    count = np.float32(pixels * (channels // group))
    mean, square = (part.reshape(n, group, -1).sum(2).astype(np.float32) / count for part in (sums, squares))
    var = (square - mean * mean) * (scale * scale)
    return mean, np.float32(1) / np.sqrt(var + epsilon)


def round_half_away(x: np.ndarray) -> np.ndarray:
    return (np.sign(x) * np.floor(np.abs(x).astype(np.float64) + 0.5)).astype(np.int64)


def fixed_point(acc: np.ndarray, multiplier: np.float32, bits: int) -> np.ndarray:
    """int64: (acc * M + half) >> shift, M / 2^shift the multiplier."""
    whole, half, shift = fixed_multiplier(multiplier, bits)
    return (acc.astype(np.int32).astype(np.int64) * whole + half) >> shift


def fixed_multiplier(multiplier: np.float32, bits: int) -> tuple[int, int, int]:
    """(M, half, shift). Caffe2 shifts as for 32 bits, whatever the bits of M."""
    if not np.isfinite(multiplier):
        raise QuantizationError(f"a multiplier became {multiplier}: X, gamma or beta are NaN, infinite or too large")
    fraction, exponent = math.frexp(float(multiplier))
    shift = 31 - exponent
    whole = round(fraction * (1 << (bits - 1)))
    if shift > 62:  # less than half of a unit
        return 0, 0, 0
    if shift > 0:
        return whole, 1 << (shift - 1), shift
    return (((whole << -shift) + (1 << 63)) % (1 << 64)) - (1 << 63), 0, 0  # modulo 2^64
