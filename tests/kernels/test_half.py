"""Half precision: every half, and floats around every border, against numpy, on every instruction set."""

from __future__ import annotations

import numpy as np

from serverquant.kernels.half import _half


def test_every_half(setting):
    h = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    y = np.empty(h.size, np.float32)
    _half.py_from_f16(h, y)
    want = h.view(np.float16).astype(np.float32)
    number = ~np.isnan(want)
    np.testing.assert_array_equal(y.view(np.uint32)[number], want.view(np.uint32)[number])
    assert np.isnan(y[~number]).all()


def test_to_half(setting):
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16).astype(np.float32)
    finite = halves[np.isfinite(halves)]
    middles = (np.sort(finite)[1:].astype(np.float64) + np.sort(finite)[:-1]) / 2
    around = [np.nextafter(middles.astype(np.float32), np.float32(to)) for to in (-np.inf, np.inf)]
    x = np.concatenate([finite, middles.astype(np.float32), *around])
    x = np.append(x, np.float32([65519.99, 65520, 1e9, np.inf, -np.inf, 1e-45, -1e-45, 2**-25]))
    y = np.empty(x.size, np.uint16)
    _half.py_to_f16(x, y)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, x.astype(np.float16).view(np.uint16))
    nan = np.full(33, np.nan, np.float32)
    y = np.empty(33, np.uint16)
    _half.py_to_f16(nan, y)
    assert np.isnan(y.view(np.float16)).all()
    assert len(set(y.tolist())) == 1
