"""Plain numpy definitions of docs/numerics.md's rules on parameters and weights, to test the native code against.

One value at a time, every rounding written out; slow on purpose.
"""

from __future__ import annotations

import math

import numpy as np

f32 = np.float32


def choose(lo: float, hi: float, precision: int, symmetric: bool, power_of_two: bool) -> tuple[float, int]:
    """(scale, zero point) of the range [lo, hi]."""
    lo, hi, levels = f32(lo), f32(hi), 2**precision - 1
    centred = symmetric and lo < 0 < hi
    if centred:
        a, b = -(levels // 2 + 1), levels // 2
        step = float(max(abs(lo / f32(a)), abs(hi / f32(b))))
        lo, hi = f32(step * a), f32(step * b)
    low, high = float(min(lo, f32(0))), float(max(hi, f32(0)))
    scale = f32((high - low) / levels)
    with np.errstate(divide="ignore", over="ignore"):
        if scale == 0 or np.isinf(f32(1) / scale):
            scale = f32(0.1)
    if power_of_two:
        scale = f32(next_power_of_two(float(scale)))
    s = float(scale)
    from_low, from_high = 0 - low / s, levels - high / s
    zero_point = from_low if abs(low / s) < levels + abs(high / s) else from_high
    if centred:
        zero_point = 2 ** (precision - 1)
    return s, int(np.rint(min(max(zero_point, 0), levels)))


def next_power_of_two(scale: float) -> float:
    """Power of two at or above scale, by the two logarithms of the rule."""
    if scale < 1:
        return 1 / 2 ** math.floor(math.log2(1 / scale))
    return 2.0 ** math.ceil(f32(math.log2(scale)))


def find_min_max(values: np.ndarray) -> tuple[float, float]:
    """Minimum and maximum with eight lanes that forget at a NaN."""
    if not len(values):
        return 0.0, 0.0
    blocks = len(values) // 8 * 8
    lanes = [(values[0], values[0])] * 8
    for i, x in enumerate(values[:blocks]):
        lo, hi = lanes[i % 8]
        lanes[i % 8] = (lo if lo < x else x, hi if hi > x else x)
    least = most = values[0]
    for lo, hi in lanes + [(x, x) for x in values[blocks:]]:
        least = lo if lo < least else least
        most = hi if hi > most else most
    return float(least), float(most)


def fma(a: np.float32, b: np.float32, c: float) -> np.float32:
    """f32(a * b + c) with one rounding: 64 bits of mantissa hold a * b exactly; c is a small integer."""
    exact = np.longdouble(a) * np.longdouble(b) + np.longdouble(c)
    return round_once(exact, np.longdouble(a) * np.longdouble(b), np.longdouble(c))


def round_once(total: np.longdouble, product: np.longdouble, c: np.longdouble) -> np.float32:
    """f32 of product + c, where total = their rounded sum: ties that rounding made are settled by what it lost."""
    lost = (product - (total - c)) if abs(c) > abs(product) else (c - (total - product))
    near = f32(total)
    if lost == 0 or not np.isfinite(total):
        return near
    for other in (np.nextafter(near, f32(-np.inf)), np.nextafter(near, f32(np.inf))):
        if np.longdouble(near) - total == total - np.longdouble(other):
            return max(near, other) if lost > 0 else min(near, other)
    return near


def quantize(x: np.ndarray, scale: float, zero_point: int, precision: int, lo: int) -> np.ndarray:
    """Integers of a 1-D array, as int64; lo: the smallest of the target's range."""
    hi = lo + 2**precision - 1
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        inverse = f32(1) / f32(scale)
        out = []
        for v in np.asarray(x, f32):
            if precision == 8:
                t = fma(v, inverse, zero_point)
                t = t if t < hi else f32(hi)
            else:
                t = f32(f32(v * inverse) + f32(zero_point))
                t = f32(0) if np.isnan(t) else t
            out.append(int(np.rint(min(max(float(t), lo), hi))))
    return np.array(out, np.int64)
