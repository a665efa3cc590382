"""Normalisation of bytes by groups: sums by channel and the map that follows, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from reference import gemm

from serverquant.kernels.norm import _norm

SIZES = (1, 7, 8, 9, 15, 63, 64, 65, 200)
HALF, SHIFT = 1 << 30, 31


def random_bytes(*shape):
    return np.random.default_rng(shape).integers(0, 256, shape).astype(np.uint8)


def channels_last(x, nhwc):
    return x if nhwc else x.swapaxes(1, 2)


def sums_of(x, nhwc):
    n, channels = x.shape[0], channels_last(x, nhwc).shape[2]
    sums, squares = np.empty((2, n, channels), np.uint64)
    _norm.channel_sums_u8(x, sums, squares, nhwc=nhwc)
    return sums, squares


@pytest.mark.parametrize("nhwc", [True, False])
def test_channel_sums(setting, nhwc):
    for channels in SIZES:
        x = random_bytes(2, 37, channels) if nhwc else random_bytes(2, channels, 37)
        sums, squares = sums_of(x, nhwc)
        whole = channels_last(x, nhwc).astype(np.uint64)
        np.testing.assert_array_equal(sums, whole.sum(1))
        np.testing.assert_array_equal(squares, (whole * whole).sum(1))


@pytest.mark.parametrize("nhwc", [True, False])
def test_sums_of_the_largest_bytes_pass_32_bits(nhwc):
    x = np.full((1, 140_000, 1) if nhwc else (1, 1, 140_000), 255, np.uint8)
    sums, squares = sums_of(x, nhwc)
    assert (int(sums[0, 0]), int(squares[0, 0])) == (255 * 140_000, 255 * 255 * 140_000)


def defined(x, scale, bias, nhwc, multiplier, factor, zero_point, hi):
    """As norm.h has it, by numpy. x: channels last; blocks of eight along what lies together."""
    acc = (x.astype(np.int64) * scale[:, None] + bias[:, None]).astype(np.int32)
    fixed = (acc.astype(np.int64) * multiplier + HALF >> SHIFT) + zero_point
    last = gemm.requant_f32(acc, factor, zero_point, 0, hi)
    along = x.shape[2] if nhwc else x.shape[1]
    in_blocks = np.arange(along) < along // 8 * 8
    return np.where(in_blocks if nhwc else in_blocks[:, None], np.clip(fixed, 0, 255), last)


@pytest.mark.parametrize(("spread", "hi"), [(300, 255), (2**31 - 1, 255), (300, 15)])
@pytest.mark.parametrize("nhwc", [True, False])
def test_group(setting, nhwc, spread, hi):
    rng = np.random.default_rng(5)
    for size in SIZES:
        x = random_bytes(2, 5, size) if nhwc else random_bytes(2, 3, size)
        channels = size if nhwc else 3
        scale, bias = rng.integers(-spread, spread, (2, 2, channels), np.int32)
        multiplier, factor = int(0.8e7), np.float32(0.8e7 / 2**SHIFT)
        y = np.empty_like(x)
        _norm.group_u8(x, y, scale, bias, nhwc=nhwc, multiplier=multiplier, half=HALF, shift=SHIFT, factor=factor,
                       zero_point=9, hi=hi)  # fmt: skip
        want = defined(channels_last(x, nhwc), scale, bias, nhwc, multiplier, factor, 9, hi)
        np.testing.assert_array_equal(channels_last(y, nhwc), want)
