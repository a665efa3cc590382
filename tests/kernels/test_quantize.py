"""Conversions between float and integers: every instruction set and thread count against the numpy rules."""

from __future__ import annotations

import numpy as np
import pytest
from reference import quantize as want

from serverquant.kernels.quantize import _quantize, _turned

LENGTHS = (0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 1000)
PARAMETERS = ((0.1, 3), (0.0123, 128), (1.0, 0), (3e-7, 255), (512.0, 17))
EDGES = (2.5, 2147483520, 2147483648, -2147483648, -2147483904, 4294967296)
SPECIAL = np.array([0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, *EDGES], np.float32)


def floats(n, scale, zero_point, seed=0):
    """Values on and beside rounding ties, beyond the range, and special ones."""
    rng = np.random.default_rng((seed, n))
    steps = rng.integers(-80, 380, n) + rng.choice([0, 0.5, 0.4999999, 0.25], n) - zero_point
    x = (steps * np.float64(np.float32(scale))).astype(np.float32)
    x = np.where(rng.random(n) < 0.3, np.nextafter(x, np.float32(np.inf)), x)
    odd = rng.random(n) < 0.15
    with np.errstate(over="ignore"):
        return np.where(odd, rng.choice(SPECIAL, n) * np.float32(1 if n % 2 else scale), x).astype(np.float32)


def shifted(x):
    """The same values at an address that is no multiple of a vector."""
    room = np.empty(x.size + 1, x.dtype)
    room[1:] = x
    return room[1:]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantize_8bit(setting, dtype):
    run = {np.uint8: _quantize.py_quantize_u8, np.int8: _quantize.py_quantize_s8}[dtype]
    for n in LENGTHS:
        for scale, zero_point in PARAMETERS:
            x = shifted(floats(n, scale, zero_point))
            y = np.empty(n, dtype)
            run(x, y, scale, zero_point)
            np.testing.assert_array_equal(y, want.quantize_8bit(x, scale, zero_point, dtype))


def test_quantize_8bit_special(isa):
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, 1e30, -1e30], np.float32)
    y = np.empty(6, np.uint8)
    _quantize.py_quantize_u8(x, y, 0.1, 3)
    assert y.tolist() == [255, 255, 255, 0, 255, 0]


def test_quantize_8bit_rounds_once(isa):
    """Values where rounding the product first gives another byte."""
    rng = np.random.default_rng(1)
    x = floats(200_000, 0.037, 100) + rng.choice(np.float32([0, 1e-7, -1e-7]), 200_000)
    y = np.empty(x.size, np.uint8)
    _quantize.py_quantize_u8(x, y, 0.037, 100)
    np.testing.assert_array_equal(y, want.quantize_8bit(x, 0.037, 100, np.uint8))
    twice = want.quantize_wide(x, 0.037, 100, 8, np.uint8)
    assert np.count_nonzero((y != twice) & np.isfinite(x)) > 10


WIDE = [(np.uint8, 7), (np.uint8, 4), (np.int8, 6), (np.uint16, 8), (np.uint16, 16), (np.int16, 12), (np.int32, 32),
        (np.int32, 20)]  # fmt: skip


@pytest.mark.parametrize(("dtype", "bits"), WIDE)
def test_quantize_wide(setting, dtype, bits):
    kind = "us"[np.issubdtype(dtype, np.signedinteger)]
    run = getattr(_quantize, f"py_quantize_wide_{kind}{np.dtype(dtype).itemsize * 8}")
    for n in LENGTHS:
        for scale, zero_point in PARAMETERS:
            zero_point = 0 if bits == 32 else zero_point
            x = shifted(floats(n, scale, zero_point))
            y = np.empty(n, dtype)
            run(x, y, scale, zero_point, bits)
            np.testing.assert_array_equal(y, want.quantize_wide(x, scale, zero_point, bits, dtype))


def test_quantize_s32_special(isa):
    """A bias as Caffe2 converts it: what does not fit becomes the lowest int32."""
    x = np.array([np.nan, np.inf, -np.inf, 2147483648, 2147483520, -2147483648, 0.5, 1.5], np.float32)
    y = np.empty(8, np.int32)
    _quantize.py_quantize_wide_s32(x, y, 1.0, 0, 32)
    low = -(2**31)
    assert y.tolist() == [low, low, low, low, 2147483520, low, 0, 2]


def test_quantize_mobile(setting):
    for n in LENGTHS:
        for scale, zero_point in PARAMETERS:
            x = shifted(floats(n, scale, zero_point))
            y = np.empty(n, np.uint8)
            _quantize.py_quantize_mobile_u8(x, y, scale, zero_point)
            np.testing.assert_array_equal(y, want.quantize_mobile(x, scale, zero_point))


def test_quantize_mobile_special(isa):
    x = np.array([np.nan, np.inf, -np.inf, 2147483648, 2147483520, -1e30], np.float32)
    y = np.empty(6, np.uint8)
    _quantize.py_quantize_mobile_u8(x, y, 1.0, 200)
    assert y.tolist() == [0, 0, 0, 0, 255, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_dequantize(setting, dtype):
    run = getattr(_quantize, f"py_dequantize_{'us'[dtype is np.int32]}{np.dtype(dtype).itemsize * 8}")
    limits = np.iinfo(dtype)
    for n in LENGTHS:
        for scale, zero_point in PARAMETERS:
            q = shifted(np.random.default_rng(n).integers(limits.min, limits.max, n, dtype, endpoint=True))
            y = np.empty(n, np.float32)
            run(q, y, scale, zero_point)
            assert y.tobytes() == want.dequantize(q, scale, zero_point).tobytes()


REQUANTIZE = ((0.5, 3, 0, 255), (0.00123, 128, 128, 255), (2.0, 0, 0, 127), (1e-9, 9, 0, 255))


def test_requantize(setting):
    for n in LENGTHS:
        rng = np.random.default_rng(n)
        for multiplier, zero_point, lo, hi in REQUANTIZE:
            acc = (rng.integers(-300, 300, n) / multiplier).clip(-(2**31), 2**31 - 1).astype(np.int32)
            acc = np.where(rng.random(n) < 0.1, rng.choice([-(2**31), 2**31 - 1, 2**24 + 1], n), acc).astype(np.int32)
            y = np.empty(n, np.uint8)
            _quantize.py_requantize_u8(acc, y, multiplier, zero_point, lo, hi)
            np.testing.assert_array_equal(y, want.requantize(acc, multiplier, zero_point, lo, hi))


def test_min_max(setting):
    for n in (*LENGTHS, 5000):
        for seed in range(3):
            x = floats(n, 0.1, 3, seed)
            if n and np.isnan(x[0]):
                x[0] = 1
            lo, hi = _quantize.py_min_max(shifted(x))
            assert (lo, hi) == want.min_max(x)


def test_min_max_special(setting):
    nan = np.float32(np.nan)
    assert _quantize.py_min_max(np.empty(0, np.float32)) == (0, 0)
    assert all(np.isnan(_quantize.py_min_max(np.array([nan, 1, 2], np.float32))))
    assert _quantize.py_min_max(np.array([1, nan, -2, nan], np.float32)) == (-2, 1)
    zeros = np.zeros(100, np.float32)
    for at in (0, 40, 99):
        zeros[at] = -0.0
        assert not any(np.signbit(_quantize.py_min_max(zeros)))


@pytest.mark.parametrize("bits", [8, 5, 0])
@pytest.mark.parametrize(("channels", "pixels"), [(3, 1), (3, 5000), (4, 64), (256, 70), (300, 131), (17_000, 3)])
def test_quantize_turned(setting, bits, channels, pixels):
    """Whole blocks, parts of them, more channels than a block has room for; bits 0: the mobile set."""
    scale, zero_point = 0.1, 3
    x = floats(2 * channels * pixels, scale, zero_point).reshape(2, channels, pixels)
    y = np.zeros((2, pixels, channels), np.uint8)
    _turned.py_quantize_turned(x, y, scale, zero_point, bits)
    planes = np.zeros(x.size, np.uint8)
    if bits == 8:
        _quantize.py_quantize_u8(x.ravel(), planes, scale, zero_point)
    elif bits:
        _quantize.py_quantize_wide_u8(x.ravel(), planes, scale, zero_point, bits)
    else:
        _quantize.py_quantize_mobile_u8(x.ravel(), planes, scale, zero_point)
    np.testing.assert_array_equal(y, planes.reshape(x.shape).transpose(0, 2, 1))
