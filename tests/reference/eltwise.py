"""Sums of Int8 arrays: the rules of docs/numerics.md in numpy. A pair `q` is (scale, zero point)."""

from __future__ import annotations

import math

import numpy as np

from reference.quantize import quantize_wide, requantize
from reference.rounding import F, fma, to_int32


def _between(t, lo):
    return np.rint(np.clip(t, F(lo), F(255))).astype(np.uint8)


def add_fast(a, a_q, b, b_q, y_q, relu):
    """Two formulas: one for whole blocks of 32 elements, one for the rest."""
    (sa, za), (sb, zb), (sy, zy) = a_q, b_q, y_q
    sa, sb, sy = F(sa), F(sb), F(sy)
    lo = zy if relu else 0
    body = a.size // 32 * 32
    offset = fma(-F(za), sa, -(F(zb) * sb))
    t = fma(b[:body], sb, fma(a[:body], sa, offset))
    head = _between(fma(t, F(1) / sy, F(zy)), lo)
    a_rest, b_rest = (v[body:].astype(np.int32) for v in (a, b))
    t = fma(b_rest - zb, sb, (a_rest - za).astype(F) * sa)
    return np.concatenate([head, _between(F(zy) + t / sy, lo)])


def sum_slow(inputs, mid_q, bits, float_signed, y_q, relu):
    """`inputs`: (array of uint8 or float32, scale, zero point). Through intermediate parameters `mid_q`."""
    mid_scale, mid_zero_point = F(mid_q[0]), mid_q[1]
    acc = np.zeros(inputs[0][0].shape, np.int64)
    for x, scale, zero_point in inputs:
        if x.dtype == np.float32:
            dtype = np.int32 if float_signed else np.uint32
            acc += quantize_wide(x, mid_scale, mid_zero_point, bits, dtype).astype(np.int64) - mid_zero_point
        else:
            t = (x.astype(np.int32) - zero_point).astype(F) * (F(scale) / mid_scale)
            acc += np.clip(to_int32(t) + mid_zero_point, 0, 2**bits - 1) - mid_zero_point
    zy = y_q[1]
    acc = acc.astype(np.int32)
    return requantize(acc, mid_scale / F(y_q[0]), zy, zy if relu else 0, 255)


def add_mobile(a, a_q, b, b_q, y_q, relu):
    """Integer multipliers of at most 22 bits, rounding half away from zero."""
    ra, rb = (float(F(q[0]) / F(y_q[0])) for q in (a_q, b_q))
    shift = 21 - math.floor(math.log2(max(ra, rb)))
    ma, mb = (int(np.rint(r * 2.0**shift)) for r in (ra, rb))
    acc = (a.astype(np.int64) - a_q[1]) * ma + (b.astype(np.int64) - b_q[1]) * mb
    mask = 2**shift - 1
    rounded = (acc >> shift) + (((acc & mask) - (acc < 0)) > mask >> 1)
    zy = y_q[1]
    return np.clip(rounded + zy, zy if relu else 0, 255).astype(np.uint8)
