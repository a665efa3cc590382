"""Relu, Clip, softmax and affine maps: every instruction set and thread count against the numpy rules, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from reference import softmax as want

from serverquant.kernels.norm import _norm
from serverquant.kernels.softmax import _softmax
from serverquant.kernels.unary import _unary

LENGTHS = (0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 1000)
NAN, INF = np.float32(np.nan), np.float32(np.inf)


def floats(shape, seed=0, spread=3.0):
    return np.random.default_rng((seed, *np.atleast_1d(shape))).normal(0, spread, shape).astype(np.float32)


def with_special(n):
    x = floats(n)
    x[::5] = np.resize(np.float32([NAN, -0.0, 0.0, INF, -INF, 1e-45, -1e-45]), x[::5].size)
    return x


def test_relu(setting):
    for n in LENGTHS:
        x = with_special(n)
        y = np.empty_like(x)
        _unary.py_map("relu_f32", x, y)
        assert y.tobytes() == np.where(x < 0, np.float32(0), x).tobytes()
        _unary.py_map("relu_f32", x, x)
        assert x.tobytes() == y.tobytes()


def test_clip(setting):
    for n in LENGTHS:
        for lo, hi in ((-1, 1), (0, 6), (-INF, INF), (2, -2)):
            x = with_special(n)
            y = np.empty_like(x)
            _unary.py_map("clip_f32", x, y, lo, hi)
            low = np.where(x < lo, np.float32(lo), x)
            assert y.tobytes() == np.where(low > hi, np.float32(hi), low).tobytes()


def test_relu_u8(setting):
    for n in LENGTHS:
        x = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
        for zero_point in (0, 1, 128, 255):
            y = np.empty_like(x)
            _unary.py_relu_u8(x, y, zero_point)
            np.testing.assert_array_equal(y, np.maximum(x, zero_point))


def test_exp(setting):
    special = [NAN, INF, -INF, 0, -0.0, 1e-45, 88.72, -87.4]
    x = np.concatenate([floats(3000, spread=40), np.linspace(-110, 95, 3000), special]).astype(np.float32)
    y = np.empty_like(x)
    _unary.py_map("exp_f32", x, y)
    np.testing.assert_array_equal(y, want.exp(x))
    with np.errstate(over="ignore"):
        exact = np.exp(x.astype(np.float64))
        step = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    near = np.isfinite(exact) & (exact < 3.4e38)
    assert np.all(np.abs(y[near] - exact[near]) <= 2 * step[near])


def test_exp_of_every_exponent(isa):
    """All reductions n and their borders, where the error is largest."""
    n = np.arange(-126, 128)[:, None]
    x = ((n + np.linspace(-0.5, 0.5, 401)) * np.log(2)).astype(np.float32).ravel()
    x = x[x < 88.7]
    y = np.empty_like(x)
    _unary.py_map("exp_f32", x, y)
    exact = np.exp(x.astype(np.float64))
    assert np.all(np.abs(y - exact) <= np.spacing(exact.astype(np.float32)))


@pytest.mark.parametrize("rows", [0, 1, 3, 20])
def test_softmax(setting, rows):
    for d in LENGTHS[1:]:
        x = floats((rows, d), spread=10)
        y = np.empty_like(x)
        _softmax.py_softmax_f32(x, y)
        np.testing.assert_array_equal(y, want.softmax(x))
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)
        _softmax.py_softmax_f32(x, x)
        assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("rows", [15, 16, 17, 100])
def test_softmax_of_short_rows(setting, rows):
    """Sixteen rows at once, and the rest one by one."""
    for d in range(1, 18):
        x = floats((rows, d), spread=10)
        y = np.empty_like(x)
        _softmax.py_softmax_f32(x, y)
        np.testing.assert_array_equal(y, want.softmax(x))


@pytest.mark.parametrize("times", [1, 16])
def test_softmax_special(isa, times):
    x = np.float32([[1, NAN, 2], [1, INF, 2], [-INF, -INF, -INF], [-INF, 0, 0], [3e38, -3e38, 0]]).repeat(times, 0)
    y = np.empty_like(x)
    _softmax.py_softmax_f32(x, y)
    assert np.isnan(y[: 3 * times]).all()
    assert y[3 * times :].tolist() == [[0, 0.5, 0.5]] * times + [[1, 0, 0]] * times


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 64, 49), (10, 33, 1), (100, 3, 1), (0, 4, 2), (7, 1, 1000)])
def test_affine(setting, shape):
    x, alpha, beta = floats(shape), floats(shape[1], 1), floats(shape[1], 2)
    y = np.empty_like(x)
    _norm.py_affine_channels(x, y, alpha, beta)
    want = x * alpha[None, :, None] + beta[None, :, None]
    assert y.tobytes() == want.tobytes()
    for lo, hi in ((0, np.inf), (-0.5, 0.5), (1, -1)):
        _norm.py_affine_channels(x, y, alpha, beta, (lo, hi))
        assert y.tobytes() == _unary.py_map("clip_f32", want, a=lo, b=hi).tobytes()


def test_fold():
    scale, bias, mean = (floats(37, k) for k in range(3))
    var = np.abs(floats(37, 4))
    alpha, beta = np.empty_like(scale), np.empty_like(scale)
    _norm.py_fold_norm(scale, bias, mean, var, 1e-5, alpha, beta)
    want_alpha = scale / np.sqrt(var + np.float32(1e-5))
    assert alpha.tobytes() == want_alpha.tobytes()
    assert beta.tobytes() == (bias - want_alpha * mean).tobytes()
