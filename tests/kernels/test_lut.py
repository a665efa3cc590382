"""Bytes through a table, and the softmax of bytes: every instruction set and thread count against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant.kernels.lut import _lut
from serverquant.kernels.softmax import _softmax

LENGTHS = (0, 1, 31, 32, 33, 63, 64, 65, 255, 256, 1000)


def test_lut(setting):
    random = np.random.default_rng(3)
    for n in LENGTHS:
        x, table = (random.integers(0, 256, size).astype(np.uint8) for size in (n, 256))
        y = np.empty_like(x)
        _lut.py_lut_u8(x, y, table)
        np.testing.assert_array_equal(y, table[x])
        _lut.py_lut_u8(x, x, table)
        np.testing.assert_array_equal(x, y)


def test_every_index(isa):
    x = np.arange(256, dtype=np.uint8)
    y = np.empty_like(x)
    _lut.py_lut_u8(x, y, x[::-1].copy())
    np.testing.assert_array_equal(y, 255 - x)


@pytest.mark.parametrize("width", [1, 7, 1000])
def test_softmax_u8(setting, width):
    random = np.random.default_rng(width)
    x = random.integers(0, 256, (5, width)).astype(np.uint8)
    table = np.rint(min((2**32 - 1) / width, 8388607) * np.exp((np.arange(256) - 255) * 0.05)).astype(np.uint32)
    t = table[x.astype(int) + 255 - x.max(axis=1, keepdims=True)].astype(np.uint64)
    total = t.sum(axis=1, keepdims=True)
    y = np.empty_like(x)
    _softmax.py_softmax_u8(x, y, table)
    np.testing.assert_array_equal(y, np.minimum((256 * t + total // 2) // total, 255))
