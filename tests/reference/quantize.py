"""Quantize, dequantize, requantize: the rules of docs/numerics.md in numpy."""

from __future__ import annotations

import numpy as np

from reference.rounding import INT32_MIN, F, fma, to_int32


def quantize_8bit(x, scale, zero_point, dtype):
    """One fused multiply-add, then rounding; NaN and too large give the highest value."""
    limits = np.iinfo(dtype)
    t = fma(x, F(1) / F(scale), F(zero_point))
    t = np.where(np.isnan(t), np.inf, t)
    return np.rint(np.clip(t, limits.min, limits.max)).astype(dtype)


def quantize_wide(x, scale, zero_point, bits, dtype):
    """Two roundings, clamped to `bits` bits of the type's signedness; NaN gives 0.

    int32: the upper limit of 32 bits is 2^31 in single precision, which like NaN converts to INT32_MIN.
    """
    signed = np.issubdtype(dtype, np.signedinteger)
    lo, hi = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    with np.errstate(all="ignore"):
        t = np.asarray(x, F) * (F(1) / F(scale)) + F(zero_point)
    q = to_int32(np.clip(t, F(lo), F(hi)))
    return np.where(np.isnan(t), INT32_MIN if dtype == np.int32 else 0, q).astype(dtype)


def quantize_mobile(x, scale, zero_point):
    """The zero point is added after rounding; NaN, infinity and beyond int32 give 0."""
    with np.errstate(all="ignore"):
        r = to_int32(np.asarray(x, F) / F(scale))
    return np.where(r == INT32_MIN, 0, np.clip(r + zero_point, 0, 255)).astype(np.uint8)


def dequantize(q, scale, zero_point):
    return F(scale) * (q.astype(np.int64) - zero_point).astype(np.int32).astype(F)


def requantize(acc, multiplier, zero_point, lo, hi):
    """The zero point is added after rounding; products beyond int32 give lo."""
    with np.errstate(all="ignore"):
        r = to_int32(acc.astype(F) * F(multiplier))
    return np.clip(r + zero_point, lo, hi).astype(np.uint8)


def min_max(x):
    """The first element, then every smaller (larger) one: comparisons pass NaN over."""
    lo = hi = x[0] if x.size else F(0)
    for v in x:
        lo = v if v < lo else lo
        hi = v if v > hi else hi
    return lo, hi
