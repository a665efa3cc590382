"""Transposition, gather, copies: every instruction set and thread count against numpy. Bytes, so NaN payloads too."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from serverquant.kernels.transpose import _transpose

SIZES = (1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 130)
DTYPES = (np.uint8, np.uint16, np.uint32, np.uint64)


def elements(shape, dtype):
    return np.random.default_rng(len(shape)).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose_2d(setting, dtype):
    for rows, cols in itertools.product(SIZES, SIZES) if isinstance(setting, str) else ((2, 3), (65, 130), (130, 17)):
        x = elements((2, rows, cols), dtype)
        y = np.empty((2, cols, rows), dtype)
        _transpose.py_transpose_2d(x, y)
        np.testing.assert_array_equal(y, x.transpose(0, 2, 1), f"{rows} x {cols}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose_2d_stays_inside(isa, dtype):
    """Nothing is written beyond y."""
    for rows, cols in ((3, 100), (100, 3), (17, 33), (64, 64)):
        x = elements((1, rows, cols), dtype)
        room = np.full(rows * cols + 64, 77, dtype)
        _transpose.py_transpose_2d(x, room[: rows * cols].reshape(1, cols, rows))
        assert (room[rows * cols :] == 77).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_permute(setting, dtype):
    shapes = ((), (5,), (0, 3), (3, 0, 2), (4, 33), (2, 3, 65), (2, 3, 4, 5), (1, 7, 1, 64), (2, 3, 2, 2, 3))
    for shape in shapes:
        x = elements(shape, dtype)
        for axes in itertools.permutations(range(len(shape))):
            want = np.ascontiguousarray(x.transpose(axes))
            y = np.empty(want.shape, dtype)
            _transpose.py_permute(x, y, axes)
            np.testing.assert_array_equal(y, want, f"{shape} {axes}")


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_gather(setting, index_type):
    sizes = ((1, 5, 7, 11), (3, 4, 64, 5), (2, 1, 1, 1), (1, 9, 3, 0), (2, 3, 0, 4), (1, 2, 3000, 300))
    for outer, dim, width, count in sizes:
        x = elements((outer, dim, width), np.uint32)
        indices = np.random.default_rng(0).integers(0, dim, count).astype(index_type)
        y = np.empty((outer, count, width), np.uint32)
        assert _transpose.py_gather(x, y, indices) == -1
        np.testing.assert_array_equal(y, x[:, indices])


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_gather_finds_bad_index(index_type):
    x, y = elements((1, 4, 2), np.uint32), np.zeros((1, 3, 2), np.uint32)
    for bad in (-1, 4, np.iinfo(index_type).max, np.iinfo(index_type).min):
        assert _transpose.py_gather(x, y, np.array([0, bad, bad], index_type)) == 1
    assert not y.any()


@pytest.mark.parametrize("widths", [(1, 1), (4, 4), (2, 8, 12, 16), (7, 0, 100), (64,), (0,), (3,) * 16])
def test_copy_rows(team, widths):
    for rows in (1, 2, 7, 5000):
        xs = [elements((rows, width), np.uint8) + np.uint8(i) for i, width in enumerate(widths)]
        want = np.concatenate(xs, 1)
        for pitch in (sum(widths), sum(widths) + 5):
            y = np.zeros((rows, pitch), np.uint8)
            _transpose.py_copy_rows(xs, y, pitch, rows)
            np.testing.assert_array_equal(y[:, : want.shape[1]], want)
            assert not y[:, want.shape[1] :].any()


def test_copy_bytes(team):
    for n in (0, 1, 63, 4095, 4096, 4097, 3 * 4096 + 5, 100_000):
        x = elements((n,), np.uint8)
        y = np.zeros(n + 8, np.uint8)
        _transpose.py_copy_bytes(x, y)
        np.testing.assert_array_equal(y[:n], x)
        assert not y[n:].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_repeat(setting, dtype):
    cases = [((3,), (4,)), ((3, 1), (1, 5)), ((2, 3, 5), (3, 1, 2)), ((1, 1), (7, 9)), ((64, 65), (2, 2))]
    for dims, times in [*cases, ((2, 0), (2, 3))]:
        x = np.arange(np.prod(dims)).reshape(dims).astype(dtype)
        want = np.tile(x, times)
        y = np.zeros_like(want)
        assert _transpose.py_repeat(x, y)
        np.testing.assert_array_equal(y, want, f"{dims} {times}")


def test_repeat_refuses_more_dims_than_it_has_room_for():
    x = np.zeros([2] * 9, np.uint8)
    assert not _transpose.py_repeat(x, np.zeros([4] * 9, np.uint8))
