"""Float arrays to quantized ones and back, by the rules of Caffe2's server operators (docs/numerics.md).

These run when weights are loaded and in tests. Operators that quantize at run time have kernels of their own, which
give the same bits.
"""

from __future__ import annotations

import numpy as np

from serverquant._base.errors import DTypeError
from serverquant.qparams._choose import quantize_bias_native, quantize_native
from serverquant.qparams.choose import QParams


def inverse_scale(scale: float) -> np.float32:
    """f32(1 / scale), by which values are multiplied rather than divided by the scale."""
    with np.errstate(divide="ignore"):
        return np.float32(1.0) / np.float32(scale)


def quantize(x: np.ndarray, params: QParams) -> np.ndarray:
    """Quantized x, in x's shape: uint8 or uint16, int8 or int16 when params.is_signed, by the width of params.

    8 bits:        clamp(rne(fma(x, inv, z))), NaN -> the largest integer
    other widths:  clamp(rne(f32(f32(x * inv) + z))), NaN -> 0
    where inv = f32(1 / scale), z the zero point, rne rounds half to even, fma rounds once.
    x: float of any kind, taken as f32.
    """
    flat = _flat_f32(x)
    bits = 8 if params.precision <= 8 else 16
    y = np.empty(flat.size, f"u{bits // 8}")
    y8, y16 = (y, None) if bits == 8 else (None, y)
    ends = params.qmin, params.qmax
    quantize_native(flat, y8, y16, float(inverse_scale(params.scale)), params.zero_point, *ends, params.precision == 8)
    return (y.view(f"i{bits // 8}") if params.is_signed else y).reshape(np.shape(x))


def quantize_bias(bias: np.ndarray, scale: float) -> np.ndarray:
    """Bias as int32 with zero point 0, in its shape: rne(f32(bias * f32(1 / scale))).

    What does not fit into int32, and NaN, gives -2^31, as in Caffe2.
    scale: that of the accumulator, f32(input scale * weight scale).
    """
    flat = _flat_f32(bias)
    y = np.empty(flat.size, np.int32)
    quantize_bias_native(flat, y, float(inverse_scale(scale)))
    return y.reshape(np.shape(bias))


def dequantize(q: np.ndarray, params: QParams) -> np.ndarray:
    """f32 values that integers stand for, in q's shape: f32(scale * float(q - zero_point))."""
    array = np.asarray(q)
    if array.dtype == np.uint8:
        return dequantize(np.arange(256), params)[array]
    difference = array.astype(np.int64) - params.zero_point
    return np.float32(params.scale) * difference.astype(np.float32)


def _flat_f32(x: np.ndarray) -> np.ndarray:
    """x as a contiguous one-dimensional f32 array, without a copy where it is one."""
    array = np.asarray(x)
    if array.dtype.kind != "f":
        raise DTypeError(f"only float arrays can be quantized, not {array.dtype}")
    return np.ascontiguousarray(array, np.float32).reshape(-1)
