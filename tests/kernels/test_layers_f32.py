"""Kernels of float layers (sums, norms, local response, cells, columns, products): the bytes of the scalar rows on
every instruction set and for every team, and the orders that the contracts promise."""

from __future__ import annotations

import numpy as np
import pytest
from reference import layers as want

from serverquant._base import _isa
from serverquant.kernels._window import Window
from serverquant.kernels.col2im import _col2im
from serverquant.kernels.gemm_f32 import _gemm_f32
from serverquant.kernels.matmul_f32 import _matmul_f32
from serverquant.kernels.norm import _norm
from serverquant.kernels.recurrent import _recurrent

LENGTHS = (1, 2, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 3000)


def floats(*shape, seed=0, spread=2.0):
    return np.random.default_rng((seed, *shape)).normal(0.3, spread, shape).astype(np.float32)


def by_scalar(make):
    """What `make` gives with the scalar rows, on one thread."""
    before = _isa.set_level("scalar")
    try:
        return [array.tobytes() for array in make()]
    finally:
        _isa.set_level(before)


def same_as_scalar(make):
    assert [array.tobytes() for array in make()] == by_scalar(make)


def lanes_sum(values):
    """A run's sum in sixteen lanes."""
    lanes = np.zeros(16, np.float32)
    for i, value in enumerate(values):
        lanes[i % 16] += value
    for half in (8, 4, 2, 1):
        lanes[:half] += lanes[half : 2 * half]
    return lanes[0]


def test_row_sums(setting):
    for n in LENGTHS:
        x, sums = floats(3, n), np.empty(3)
        _norm.py_row_sums(x, sums)
        runs = [[np.float64(lanes_sum(row[at : at + 1024])) for at in range(0, n, 1024)] for row in x]
        assert sums.tolist() == [sum(run) for run in runs]


def test_squared_distances(setting):
    for n in LENGTHS:
        x, sums, centre = floats(4, n), np.empty(4), floats(2, seed=1)
        _norm.py_row_sums(x, sums, centre)
        distance = x.astype(np.float64) - np.tile(centre, 2)[:, None]
        np.testing.assert_allclose(sums, np.square(distance).sum(1), rtol=1e-5)

        def make(x=x, centre=centre):
            sums = np.empty(4)
            _norm.py_row_sums(x, sums, centre)
            return [sums]

        same_as_scalar(make)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 63), (1, 1030, 65), (3, 7, 130), (0, 4, 3), (2, 0, 3)])
def test_column_sums(setting, shape):
    x, sums = floats(*shape), np.full((shape[0], shape[2]), 7.0)
    _norm.py_column_sums(x, sums)
    expected = np.zeros(sums.shape)
    for at in range(0, shape[1], 1024):
        run = np.zeros(sums.shape, np.float32)
        for line in x[:, at : at + 1024].transpose(1, 0, 2):
            run += line
        expected += run
    assert sums.tolist() == expected.tolist()
    centre = floats(shape[0], shape[2], seed=2)
    _norm.py_column_sums(x, sums, centre)
    np.testing.assert_allclose(sums, np.square(x.astype(np.float64) - centre[:, None]).sum(1), rtol=1e-5)


@pytest.mark.parametrize("centred", [True, False])
def test_row_norm(setting, centred):
    for n in LENGTHS:
        x, gamma, beta = floats(5, n), floats(n, seed=1), floats(n, seed=2)

        def make(x=x, gamma=gamma, beta=beta):
            y, mean, sigma = np.empty_like(x), np.empty(5, np.float32), np.empty(5, np.float32)
            _norm.py_row_norm(x, y, mean if centred else None, sigma, 1e-3, gamma, beta)
            return [y, sigma]

        same_as_scalar(make)
        y = make()[0]
        middle = x.astype(np.float64).mean(1, keepdims=True) if centred else 0
        root = np.sqrt(np.square(x - middle).mean(1, keepdims=True) + 1e-3)
        np.testing.assert_allclose(y, (x - middle) / root * gamma + beta, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, 0.2])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_local_response(setting, size, beta):
    for shape in ((2, 5, 65), (1, 70, 7), (3, 1, 1)):
        x = floats(*shape)

        def make(x=x):
            made = []
            for image, nhwc in ((x, False), (np.ascontiguousarray(x.transpose(0, 2, 1)), True)):
                y, scale = np.empty_like(image), np.empty_like(image)
                _norm.py_local_response(image, y, scale, size, 0.1, beta, 1.0, nhwc=nhwc)
                made += [y, scale]
            return made

        same_as_scalar(make)
        y, scale, y_last, _ = make()
        assert y.transpose(0, 2, 1).tobytes() == y_last.tobytes()
        expected = want.local_response(x, size, 0.1, beta, 1.0)
        np.testing.assert_allclose(y, expected[0], rtol=1e-5)
        np.testing.assert_allclose(scale, expected[1], rtol=1e-5)


def test_cells(setting):
    for d in (1, 7, 16, 17, 65):
        h, c, gates, lengths = floats(4, d), floats(4, d, seed=1), floats(4, 4 * d, spread=6), np.int32([3, 2, 1, 9])

        def make(h=h, c=c, gates=gates, lengths=lengths, d=d):
            new_h, new_c, gru = (np.empty_like(h) for _ in range(3))
            _recurrent.py_lstm_unit(h, c, gates, lengths, new_h, new_c, 2, False, 0.25)
            _recurrent.py_gru_unit(h, np.ascontiguousarray(gates[:, : 3 * d]), None, gru, 2, False)
            return [new_h, new_c, gru]

        same_as_scalar(make)
        new_h, new_c, _ = make()
        expected = want.lstm_cell(h, c, gates, 0.25)
        for got, whole, before in ((new_h, expected[0], h), (new_c, expected[1], c)):
            np.testing.assert_allclose(got[[0, 3]], whole[[0, 3]], rtol=2e-6, atol=1e-6)
            assert got[1:3].tobytes() == before[1:3].tobytes()
        # In place.
        _recurrent.py_lstm_unit(h, c, gates, lengths, h, c, 2, False, 0.25)
        assert (h.tobytes(), c.tobytes()) == (new_h.tobytes(), new_c.tobytes())


WINDOWS = [
    ((5,), (2,), (1,), (1, 0), (2,)),
    ((6, 7), (3, 2), (2, 3), (1, 0, 1, 2), (1, 2)),
    ((3, 4, 5), (2, 2, 3), (1, 2, 1), (1, 0, 1, 0, 1, 1), (1, 1, 1)),
]


@pytest.mark.parametrize("case", WINDOWS)
def test_columns(setting, case):
    """Adding up columns is the transpose of taking them, and adds taps in their order."""
    window = Window(*case)
    images, channels = 2, 3
    pixels, columns = int(np.prod(window.in_sizes)), int(np.prod(window.out_sizes))
    taps = int(np.prod(case[1]))
    places = np.arange(1, pixels + 1, dtype=np.float32)  # what each tap of each column reads; 0: padding
    seen = np.empty(taps * columns, np.float32)
    _col2im.py_im2col(window, places, seen, 1, 1, nhwc=False)
    cols = floats(images, channels, taps, columns)
    expected = np.zeros((images, channels, pixels + 1), np.float32)
    for tap, line in enumerate(seen.reshape(taps, columns).astype(int)):
        expected[:, :, line] += cols[:, :, tap]  # a tap reads a pixel once
    expected = expected[:, :, 1:]
    y = np.empty((images, channels, pixels), np.float32)
    _col2im.py_col2im(window, cols.ravel(), y.ravel(), images, channels, nhwc=False)
    assert y.tobytes() == expected.tobytes()
    last = np.ascontiguousarray(cols.transpose(0, 3, 2, 1))
    y = np.empty((images, pixels, channels), np.float32)
    _col2im.py_col2im(window, last.ravel(), y.ravel(), images, channels, nhwc=True)
    assert y.tobytes() == expected.transpose(0, 2, 1).tobytes()
    taken, taken_last = np.empty_like(cols), np.empty_like(last)
    image = floats(images, channels, pixels, seed=5)
    _col2im.py_im2col(window, image.ravel(), taken.ravel(), images, channels, nhwc=False)
    pixels_last = np.ascontiguousarray(image.transpose(0, 2, 1))
    _col2im.py_im2col(window, pixels_last.ravel(), taken_last.ravel(), images, channels, nhwc=True)
    assert taken.transpose(0, 3, 2, 1).tobytes() == taken_last.tobytes()
    padded = np.concatenate([np.zeros((images, channels, 1), np.float32), image], axis=2)
    assert taken.tobytes() == padded[:, :, seen.astype(int)].reshape(taken.shape).tobytes()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("row", _gemm_f32.rows(), ids=lambda r: r.name)
def test_products(row, transposed):
    """The chains of gemm_f32, whether B is packed or read where it lies."""
    if not row.supported:
        pytest.skip(f"this machine has no {row.isa}")
    for m, n, k in ((1, 1, 1), (3, 17, 5), (13, 65, 33), (40, 130, 64), (2, 70, 1100), (30, 5, 4100), (2, 3, 0)):
        a, b = floats(2, m, k), floats(2, k, n, seed=1)
        given = np.ascontiguousarray(b.transpose(0, 2, 1)) if transposed else b
        got = _matmul_f32.matmul(a, given, transposed=transposed, row=row.name)
        for i in range(2):
            weights = _gemm_f32.pack(np.ascontiguousarray(b[i].T), row=row.name)
            assert got[i].tobytes() == _gemm_f32.gemm(a[i], weights).tobytes()


def test_products_of_teams(team):
    a, b = floats(3, 50, 40), floats(3, 40, 90, seed=1)
    expected = [_gemm_f32.gemm(a[i], _gemm_f32.pack(np.ascontiguousarray(b[i].T))) for i in range(3)]
    assert _matmul_f32.matmul(a, b).tobytes() == np.stack(expected).tobytes()
