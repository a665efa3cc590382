"""Parameters from ranges: against the written rule, and against answers of the real Caffe2."""

from __future__ import annotations

import math

import numpy as np
import pytest
import qparams_reference as reference

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError
from serverquant.qparams import QParams, choose, find_min_max, relu_params

# Caffe2's Quantize, engine DNNLOWP: (min, max, symmetric, power of two) -> (scale, zero point), 8 bits.
CAFFE2 = [
    ((0.0, 0.0, False, False), (0.10000000149011612, 0)),
    ((0.0, 4080.000244140625, False, True), (16.0, 0)),  # scale one step above 16: its f32 logarithm is 4
    ((0.0, 4080.000732421875, False, True), (32.0, 0)),
    ((-8.004732080735266e-06, 0.0, True, True), (5.960464477539063e-08, 134)),
    ((-0.008267988450825214, 0.0, True, True), (6.103515625e-05, 135)),
    ((-1.833848214305171e-34, 0.0, False, False), (7.1915614734958325e-37, 255)),
    ((-125391251439616.0, 0.0, True, False), (491730403328.0, 255)),
]


@pytest.mark.parametrize(("arguments", "answer"), CAFFE2)
def test_answers_of_caffe2(arguments, answer):
    lo, hi, symmetric, power_of_two = arguments
    got = choose(lo, hi, 8, symmetric, power_of_two)
    assert (got.scale, got.zero_point) == answer


def test_against_the_rule():
    random = np.random.default_rng(11)
    for _ in range(4000):
        lo, hi = np.sort(random.normal(size=2) * 10 ** random.uniform(-9, 6)).astype(np.float32)
        lo, hi = random.choice([(lo, hi), (0, abs(hi)), (-abs(lo), 0), (-abs(hi), abs(hi))])
        flags = int(random.integers(2, 17)), bool(random.integers(2)), bool(random.integers(2))
        got = choose(float(lo), float(hi), *flags)
        assert (got.scale, got.zero_point) == reference.choose(lo, hi, *flags), (lo, hi, flags)
        assert got.precision == flags[0]


def test_zero_is_held_exactly_and_the_range_is_covered():
    random = np.random.default_rng(12)
    for _ in range(1000):
        lo, hi = np.sort(random.normal(size=2) * 10 ** random.uniform(-6, 6)).astype(np.float32)
        got = choose(float(lo), float(hi))
        assert 0 <= got.zero_point <= 255
        assert got.min <= min(lo, 0) + got.scale * 0.51
        assert got.max >= max(hi, 0) - got.scale * 0.51


def test_scale_is_an_exact_f32():
    assert choose(-1.0, 2.0).scale == float(np.float32(choose(-1.0, 2.0).scale))


def test_nan_and_infinity_make_an_unusable_scale_and_a_zero_point_in_range():
    assert math.isnan(choose(math.nan, math.nan).scale)
    assert choose(-1, math.inf).scale == math.inf
    for lo, hi in [(math.nan, math.nan), (-1, math.inf), (-math.inf, 1), (-math.inf, math.inf)]:
        assert 0 <= choose(lo, hi).zero_point <= 255


@pytest.mark.parametrize("precision", [-1, 0, 1, 17, 32])
def test_precision_out_of_range(precision):
    with pytest.raises(ArgumentError, match="2 to 16 bits"):
        choose(0, 1, precision)


def test_relu_keeps_the_parameters_only_when_nothing_is_negative():
    params = choose(-1.0, 3.0)
    folded = relu_params(params)
    assert (folded.scale, folded.zero_point) == reference.choose(0, params.max, 8, False, False)
    assert folded.zero_point == 0
    assert relu_params(choose(0, 3.0)) == choose(0, 3.0)
    assert relu_params(params, power_of_two=True).scale == reference.next_power_of_two(folded.scale)


def test_signed_form_stands_for_the_same_values():
    params = choose(-1.0, 3.0, 7)
    signed = params.to_signed()
    assert signed == QParams(params.scale, params.zero_point - 64, 7, True)
    assert (signed.qmin, signed.qmax) == (-64, 63)
    assert (signed.min, signed.max) == (params.min, params.max)
    assert signed.to_signed() is signed


@pytest.mark.parametrize("isa", _isa.supported())
@pytest.mark.parametrize("size", [0, 1, 3, 7, 8, 9, 15, 16, 17, 40, 1001])
def test_find_min_max(isa, size):
    random = np.random.default_rng(size)
    values = random.normal(size=size).astype(np.float32)
    before = _isa.set_level(isa)
    try:
        assert find_min_max(values) == reference.find_min_max(values)
        for _ in range(20 if size else 0):
            holed = values.copy()
            holed[random.integers(size, size=2)] = np.nan
            np.testing.assert_equal(find_min_max(holed), reference.find_min_max(holed))
    finally:
        _isa.set_level(before)


def test_find_min_max_with_nan_as_caffe2():
    values = np.arange(1, 41, dtype=np.float32)
    values[1], values[39] = -9, 99
    for hole, least in [(33, 1.0), (9, 1.0), (8, -9.0), (32, -9.0)]:
        holed = values.copy()
        holed[hole] = np.nan
        assert find_min_max(holed) == (least, 99.0)


def test_find_min_max_takes_any_shape_and_float_type():
    assert find_min_max(np.array([[1.0, -2.0], [0.5, 3.0]])[:, ::-1]) == (-2.0, 3.0)
    assert find_min_max(np.float16([[1, 2]])) == (1.0, 2.0)
