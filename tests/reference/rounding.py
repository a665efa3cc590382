"""Single precision with exactly the roundings that a formula says."""

from __future__ import annotations

import numpy as np

F = np.float32
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def fma(a, b, c):
    """a * b + c of float32 values, rounded to float32 once.

    The product is exact in double. The sum is rounded to odd (Boldo and Melquiond), so that rounding it again to single
    gives what one rounding of the exact sum gives.
    """
    with np.errstate(all="ignore"):
        product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
        product, c = np.broadcast_arrays(product, np.asarray(c, np.float64))
        total = product + c
        back = total - product
        error = (product - (total - back)) + (c - back)
        finite = np.isfinite(total) & np.isfinite(error)
        even = (np.ascontiguousarray(total).view(np.int64) & 1) == 0
        toward = np.where(error > 0, np.inf, -np.inf)
        odd = np.where(finite & (error != 0) & even, np.nextafter(total, toward), total)
        return odd.astype(F)


def to_int32(t):
    """Round half to even; what does not fit in int32, NaN too, becomes INT32_MIN as on x86."""
    t = np.asarray(t, np.float64)
    fits = (t >= INT32_MIN) & (t < 2.0**31)
    return np.where(fits, np.rint(np.where(fits, t, 0)), INT32_MIN).astype(np.int64)
