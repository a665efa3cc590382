"""The int8 matrix product and its epilogues, in numpy, as docs/numerics.md defines them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

F32 = np.float32
INT_MIN = -(2**31)


def sums(x, w, groups=1, x_zero_point=0, zero_point=0, bias=None):
    """int32 [m, groups * n]: sum of (x - zx) * (w - zw) + bias modulo 2^32.

    x: uint8 [m, groups * k]; w: int8 [groups * n, k]; zero_point: one or [groups * n]; bias: int32 [groups * n].
    """
    m, columns, k = x.shape[0], w.shape[0], w.shape[1]
    n = columns // groups
    real_x = x.astype(np.int64).reshape(m, groups, k) - x_zero_point
    real_w = (w.astype(np.int64) - np.broadcast_to(zero_point, columns)[:, None]).reshape(groups, n, k)
    acc = np.einsum("mgk,gnk->mgn", real_x, real_w, optimize=True).reshape(m, columns)
    return (acc + (0 if bias is None else bias.astype(np.int64))).astype(np.int32)


def requant_f32(acc, multiplier, zero_point=0, lo=0, hi=255):
    """uint8: clamp(rne(f32(float(acc) * m)) + zero_point); what does not fit int32 becomes its minimum first."""
    with np.errstate(over="ignore", invalid="ignore"):
        t = np.rint(acc.astype(F32) * np.asarray(multiplier, F32))
        fits = (t >= F32(INT_MIN)) & (t < F32(2**31))
        q = np.where(fits, t, F32(INT_MIN)).astype(np.int64)
    return np.clip(q + zero_point, lo, hi).astype(np.uint8)


def requant_q31(acc, ratio, zero_point=0, lo=0, hi=255):
    """uint8: the mobile fixed point of float32 `ratio` in [2^-32, 1): half up at 31 bits, then half away from zero."""
    mantissa, exponent = np.frexp(F32(ratio))
    multiplier, shift = int(F32(mantissa) * 2**31), -int(exponent)
    p = (acc.astype(np.int64) * multiplier + 2**30) >> 31
    mask = (1 << shift) - 1
    remainder = (p & mask) - (acc < 0)
    return np.clip((p >> shift) + (remainder > mask >> 1) + zero_point, lo, hi).astype(np.uint8)


def _fma(a: float, b: float, c: float) -> np.float32:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return F32(F32(a) * F32(b) + F32(c))  # the sign of zero follows the plain rule
    return _round_f32(exact)


def _round_f32(v: Fraction) -> np.float32:
    """Nearest float32, ties to even, of a normal value."""
    exponent = max(int(np.floor(np.log2(float(abs(v))))), -126)
    for e in (exponent + 1, exponent, exponent - 1):
        if abs(v) >= Fraction(2) ** e:
            break
    ulp = Fraction(2) ** (e - 23)
    return F32(float(round(v / ulp) * ulp))


def dequant_f32(acc, multiplier, bias=0.0, relu=False):
    """float32: fma(float(acc), m, bias) with one rounding, then max(0, .)."""
    m = np.broadcast_to(np.asarray(multiplier, F32), acc.shape)
    b = np.broadcast_to(np.asarray(bias, F32), acc.shape)
    flat = [_fma(float(a), float(x), float(y)) for a, x, y in zip(acc.astype(F32).flat, m.flat, b.flat)]
    y = np.array(flat, F32).reshape(acc.shape)
    return np.where(y < 0, F32(0), y) if relu else y
