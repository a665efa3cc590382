"""Floats to integers and back: every value against the written rule, ties and extremes included."""

from __future__ import annotations

import numpy as np
import pytest
import qparams_reference as reference

from serverquant._base import _isa
from serverquant._base.errors import DTypeError
from serverquant.qparams import QParams, choose, dequantize, quantize, quantize_bias

f32 = np.float32


@pytest.fixture(params=_isa.supported())
def isa(request):
    before = _isa.set_level(request.param)
    yield request.param
    _isa.set_level(before)


def ties(params: QParams, random: np.random.Generator, size: int) -> np.ndarray:
    """Values on and one step beside the middle between two integers."""
    middles = (random.integers(params.qmin, params.qmax, size) + 0.5 - params.zero_point) * params.scale
    values = middles.astype(f32)
    return np.concatenate([values, np.nextafter(values, f32(np.inf)), np.nextafter(values, f32(-np.inf))])


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("precision", [2, 5, 7, 8, 9, 16])
def test_against_the_rule(isa, precision, is_signed):
    random = np.random.default_rng(precision)
    for _ in range(4):
        lo, hi = np.sort(random.normal(size=2)) * 10 ** random.uniform(-3, 3)
        params = choose(lo, hi, precision)
        params = params.to_signed() if is_signed else params
        outside = random.normal(size=50).astype(f32) * f32(hi - lo) * 3
        values = np.concatenate([ties(params, random, 60), outside, f32([0, -0.0, 1e30, -1e30, np.inf, -np.inf])])
        got = quantize(values, params)
        assert got.dtype == np.dtype(f"{'i' if is_signed else 'u'}{1 if precision <= 8 else 2}")
        want = reference.quantize(values, params.scale, params.zero_point, precision, params.qmin)
        np.testing.assert_array_equal(got, want)


def test_eight_bits_round_once():
    """Ties that only the product's lost bits settle: the fused operation gives another integer than two roundings."""
    random = np.random.default_rng(3)
    different = 0
    for _ in range(40):
        params = choose(-random.random(), random.random())
        values = ties(params, random, 4000)
        inverse = f32(1) / f32(params.scale)
        twice = np.clip(np.rint(values * inverse + f32(params.zero_point)), 0, 255)
        different += int((twice != quantize(values, params)).sum())
    assert different


def test_nan(isa):
    assert quantize(f32([np.nan] * 40), choose(-1, 1)).tolist() == [255] * 40
    assert quantize(f32([np.nan]), choose(-1, 1).to_signed()) == 127
    assert quantize(f32([np.nan]), choose(-1, 1, 7)) == 0
    assert quantize(f32([np.nan]), choose(-1, 1, 12).to_signed()) == 0
    assert quantize(f32([1, np.nan]), QParams(float("nan"), 0)).tolist() == [255, 255]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 31, 32, 33, 100])
def test_sizes(isa, size):
    values = np.random.default_rng(size).normal(size=size).astype(f32)
    for precision in (8, 6, 12):
        params = choose(-3, 3, precision)
        want = reference.quantize(values, params.scale, params.zero_point, precision, 0)
        np.testing.assert_array_equal(quantize(values, params), want)


def test_shape_is_kept_and_views_are_taken():
    values = np.arange(24, dtype=f32).reshape(2, 3, 4)
    params = choose(0, 24)
    assert quantize(values, params).shape == (2, 3, 4)
    turned = quantize(values.transpose(2, 0, 1), params)
    np.testing.assert_array_equal(turned, quantize(values, params).transpose(2, 0, 1))
    assert quantize(f32(3), params).shape == ()


def test_only_floats():
    with pytest.raises(DTypeError, match="int32"):
        quantize(np.int32([1]), choose(0, 1))


def test_bias():
    scale = float(f32(0.01) * f32(0.003))
    inverse = f32(1) / f32(scale)
    values = np.random.default_rng(4).normal(size=200).astype(f32)
    np.testing.assert_array_equal(quantize_bias(values, scale), np.rint(values * inverse).astype(np.int32))
    assert quantize_bias(values.reshape(2, 100), scale).shape == (2, 100)
    extremes = quantize_bias(f32([np.nan, np.inf, -np.inf, 1e30]), scale)  # too large ones too, as in Caffe2
    assert extremes.tolist() == [-(2**31)] * 4


def test_dequantize():
    params = QParams(float(f32(0.037)), 200)
    q = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(dequantize(q, params), f32([f32(0.037) * f32(i - 200) for i in range(256)]))
    wide = np.int32([2**31 - 1, -(2**31)])
    assert dequantize(wide, QParams(1.0, 0)).tolist() == [2.0**31, -(2.0**31)]


def test_there_and_back_stays_within_half_a_step():
    values = np.random.default_rng(5).uniform(-2, 5, 1000).astype(f32)
    params = choose(values.min(), values.max())
    assert np.abs(dequantize(quantize(values, params), params) - values).max() <= params.scale * 0.51
