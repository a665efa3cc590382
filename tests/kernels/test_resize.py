"""Picked rows and columns, and bilinear interpolation: every instruction set and thread count against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant.kernels.resize import _resize

WIDTHS = (1, 2, 3, 8, 17, 31, 64, 100)


def elements(shape, dtype):
    return np.random.default_rng(len(shape)).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def picked(x, frames, rows, columns, fill):
    """The definition: indices, and the fill where one is -1."""
    y = x[:, frames][:, :, rows][:, :, :, columns]
    gone = (frames < 0)[:, None, None] | (rows < 0)[:, None] | (columns < 0)
    return np.where(gone[..., None], fill, y)


def maps(random, size, width):
    """Random picks, neighbours with borders of -1, every column twice."""
    yield random.integers(-1, size, width)
    start = random.integers(-2, 3)
    run = np.arange(width) - start
    yield np.where((run < 0) | (run >= size), -1, run)
    yield np.arange(width) // 2 if (width - 1) // 2 < size else np.zeros(width, int)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
@pytest.mark.parametrize("block", [1, 3])
def test_remap(setting, dtype, block):
    random = np.random.default_rng(1)
    for width in WIDTHS:
        x = elements((2, 2, 4, width, block), dtype)
        for columns in maps(random, width, width + width % 2):
            frames, rows, columns = (
                m.astype(np.int32) for m in (random.integers(-1, 2, 3), random.integers(-1, 4, 7), columns)
            )
            fill = elements((len(columns), block), dtype)
            y = np.zeros((2, 3, 7, len(columns), block), dtype)
            _resize.py_remap(x, y, frames, rows, columns, fill)
            np.testing.assert_array_equal(y, picked(x, frames, rows, columns, fill))


def side(random, size, count):
    first = random.integers(0, size, count).astype(np.int32)
    return first, np.minimum(first + 1, size - 1).astype(np.int32), random.random(count).astype(np.float32)


def between(a, b, weight):
    return (np.float32(1) - weight) * a + weight * b


def test_bilinear(setting):
    random = np.random.default_rng(2)
    for width in (1, 5, 33, 300):
        x = random.normal(size=(3, 4, width)).astype(np.float32)
        rows, columns = side(random, 4, 9), side(random, width, 2 * width + 1)
        y = np.zeros((3, 9, 2 * width + 1), np.float32)
        _resize.py_bilinear_f32(x, y, rows, columns)
        along = between(x[:, :, columns[0]], x[:, :, columns[1]], columns[2])
        want = between(along[:, rows[0]], along[:, rows[1]], rows[2][:, None])
        np.testing.assert_array_equal(y, want)
