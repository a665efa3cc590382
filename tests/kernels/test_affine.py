"""Products and linear maps of bytes, exact products of small numbers: every instruction set against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from reference.rounding import F, fma, to_int32

from serverquant.kernels.affine import _affine
from serverquant.kernels.matmul_s16 import _matmul_s16

RNG = np.random.default_rng(12)


def bytes_of(*shape):
    return RNG.integers(0, 256, shape).astype(np.uint8)


def finish(acc, multiplier, zero_point):
    return np.clip(to_int32(np.asarray(acc).astype(np.int32).astype(F) * F(multiplier)) + zero_point, 0, 255)


@pytest.mark.parametrize(("channels", "inner"), [(1, 1), (7, 1), (64, 1), (65, 3), (3, 100), (1000, 1)])
def test_maps(setting, channels, inner):
    a, b = bytes_of(3, channels, inner), bytes_of(channels)
    bias = RNG.integers(-20000, 20000, channels).astype(np.int32)
    alpha, beta = (RNG.standard_normal(channels).astype(F) for _ in range(2))
    product = (a.astype(np.int64) - 31) * (b.astype(np.int64) - 200)[:, None]
    common = {"inner": inner, "a_zero_point": 31, "zero_point": 90}
    got = _affine.py_affine("mul", a.ravel(), b=b, b_zero_point=200, multiplier=0.01, **common)
    np.testing.assert_array_equal(got, finish(product, 0.01, 90).ravel())
    got = _affine.py_affine("linear", a.ravel(), b=b, bias=bias, b_zero_point=200, multiplier=0.004, **common)
    np.testing.assert_array_equal(got, finish(product + bias[:, None], 0.004, 90).ravel())
    got = _affine.py_affine("norm", a.ravel(), alpha=alpha, beta=beta, **common)
    want = to_int32(fma(alpha[:, None], (a.astype(np.int32) - 31).astype(F), beta[:, None])) + 90
    np.testing.assert_array_equal(got, np.clip(want, 0, 255).ravel())


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (3, 5, 17), (8, 4, 64), (2, 7, 1000)])
def test_matmul(setting, m, n, k):
    a, b = bytes_of(3, m, k), bytes_of(3, k, n)
    acc = (a.astype(np.int64) - 3) @ (b.astype(np.int64) - 250)
    got = _matmul_s16.py_matmul(a, b, 3, 250, 0.0005, 128)
    np.testing.assert_array_equal(got, finish(acc, 0.0005, 128))


def test_matmul_of_extremes(setting):
    k = 33025
    a, b = np.full((1, 2, k), 255, np.uint8), np.full((1, k, 2), 255, np.uint8)
    want = finish(np.full((1, 2, 2), 65025 * k), 1e-7, 0)
    np.testing.assert_array_equal(_matmul_s16.py_matmul(a, b, 0, 0, 1e-7, 0), want)
