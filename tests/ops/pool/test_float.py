"""Float pools: names, norms and regions; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant._base.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(5)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def windows(x, kernel, stride, pad, fill):
    """Every window of x [N, C, H, W], padded."""
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]


@pytest.mark.parametrize("name", ["MaxPool", "AveragePool"])
def test_names_with_dimensions(name):
    for n in (1, 2, 3):
        x = floats(2, 3, *[6] * n)
        args = {"kernels": [2] * n, "strides": [2] * n}
        assert run(f"{name}{n}D", {"X": x}, **args).tobytes() == run(name, {"X": x}, **args).tobytes()


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 0.5])
def test_lp_pool(p):
    x = floats(2, 3, 7, 8)
    expected = (np.abs(windows(x, 3, 2, 1, 0).astype(np.float64)) ** p).sum((4, 5)) ** (1 / p)
    np.testing.assert_allclose(run("LpPool", {"X": x}, kernel=3, stride=2, pad=1, p=p), expected, rtol=1e-5)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    got = run("LpPool", {"X": last}, kernel=3, stride=2, pad=1, p=p, order="NHWC")
    np.testing.assert_allclose(got.transpose(0, 3, 1, 2), expected, rtol=1e-5)


def test_lp_pool_of_the_whole_image():
    x = floats(2, 3, 4, 5)
    got = run("LpPool", {"X": x}, global_pooling=1)
    np.testing.assert_allclose(got[:, :, 0, 0], np.sqrt(np.square(x).sum((2, 3))), rtol=1e-5)


def test_lp_pool_refuses_one_dimension():
    with pytest.raises(ShapeError, match="4 dimensions"):
        run("LpPool", {"X": floats(1, 2, 6)}, kernels=[2])


def test_a_global_pool_takes_a_kernel_of_zero():
    x = floats(2, 3, 4, 5)
    assert run("MaxPool", {"X": x}, kernel=0, global_pooling=1).ravel().tolist() == x.max((2, 3)).ravel().tolist()
    with pytest.raises(ArgumentError, match="kernel must be 1 or more"):
        run("MaxPool", {"X": x}, kernel=0)


def test_regions():
    """Scale 1: two squares along the longer side; scale 2: two thirds of the shorter side, two by three of them."""
    got = run("RMACRegions", {"X": floats(2, 1, 5, 6)}, outputs=("rois",), scales=2)
    one = [[0, 0, 4, 4], [1, 0, 5, 4]]
    one += [[0, 0, 2, 2], [0, 2, 2, 4], [1, 0, 3, 2], [1, 2, 3, 4], [3, 0, 5, 2], [3, 2, 5, 4]]
    assert got[:, 0].tolist() == [0] * 8 + [1] * 8
    assert got[:8, 1:].tolist() == one
    assert got[8:, 1:].tolist() == one
    assert run("RMACRegions", {"X": floats(1, 1, 5, 6)}, outputs=("rois",), scales=0).shape == (0, 5)
