"""Regions of interest: every instruction set and thread count against the plain rule, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run
from reference import roi

RNG = np.random.default_rng(5)


def rois(count, images, width, height):
    x, y = RNG.uniform(-4, width * 0.8, count), RNG.uniform(-4, height * 0.8, count)
    image = RNG.integers(0, images, count)
    sides = RNG.uniform(0.1, width * 0.6, count), RNG.uniform(0.1, height * 0.6, count)
    return np.stack([image, x, y, x + sides[0], y + sides[1]], 1).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 7, 17])
@pytest.mark.parametrize(("ratio", "aligned"), [(0, 0), (0, 1), (2, 0), (30, 1)])
def test_align(setting, channels, ratio, aligned):
    x = RNG.normal(0, 1, (2, channels, 9, 6)).astype(np.float32)
    where = rois(5, 2, 12, 18)
    args = {"pooled_h": 3, "pooled_w": 2, "spatial_scale": 0.5, "sampling_ratio": ratio, "aligned": aligned}
    want = roi.align(x[:, :1], where, 3, 2, 0.5, ratio, bool(aligned))
    got = run("RoIAlign", {"X": x, "R": where}, **args)
    assert got[:, :1].tobytes() == want.tobytes()
    last = run("RoIAlign", {"X": np.ascontiguousarray(x.transpose(0, 2, 3, 1)), "R": where}, order="NHWC", **args)
    np.testing.assert_array_equal(last.transpose(0, 3, 1, 2), got)


def test_rotated_by_nothing_is_upright(setting):
    """Points are the same up to rounding."""
    x = RNG.normal(0, 1, (1, 3, 9, 8)).astype(np.float32)
    where = rois(4, 1, 8, 9)
    center, size = (where[:, 1:3] + where[:, 3:]) / 2, where[:, 3:] - where[:, 1:3]
    turned = np.concatenate([where[:, :1], center, size, np.zeros((4, 1), np.float32)], 1)
    args = {"pooled_h": 2, "pooled_w": 3, "sampling_ratio": 2, "aligned": 1}
    np.testing.assert_allclose(
        run("RoIAlignRotated", {"X": x, "R": turned}, **args), run("RoIAlign", {"X": x, "R": where}, **args), atol=1e-5
    )


def test_rotated_by_a_quarter():
    """A quarter turn of the region, counter-clockwise, turns what is cut out."""
    x = RNG.normal(0, 1, (1, 1, 8, 8)).astype(np.float32)
    args = {"pooled_h": 4, "pooled_w": 4, "sampling_ratio": 1, "aligned": 1}
    upright = run("RoIAlignRotated", {"X": x, "R": np.float32([[4, 4, 4, 4, 0]])}, **args)
    turned = run("RoIAlignRotated", {"X": x, "R": np.float32([[4, 4, 4, 4, 90]])}, **args)
    np.testing.assert_allclose(turned[0, 0], np.rot90(upright[0, 0], -1), atol=1e-5)


def test_pool(setting):
    x = RNG.normal(0, 1, (2, 3, 7, 6)).astype(np.float32)
    where = np.float32([[1, 0.4, 1.6, 4.5, 6], [0, -9, -9, -3, -3], [0, 2, 2, 2, 2]])
    y, at = run("RoIPool", {"X": x, "R": where}, ["Y", "A"], pooled_h=2, pooled_w=3)
    assert (y[1] == 0).all()
    assert (at[1] == -1).all()
    assert (y[2] == x[0, :, 2, 2, None, None]).all()
    # rounded: columns 0 to 5 and rows 2 to 6, in 3 bins of 2 columns and 2 of 2.5 rows
    np.testing.assert_array_equal(y[0, :, 0, 1], x[1, :, 2:5, 2:4].max((1, 2)))
    np.testing.assert_array_equal(y[0, :, 1, 2], x[1, :, 4:7, 4:6].max((1, 2)))
    chosen = np.take_along_axis(x[1].reshape(3, -1), at[0].reshape(3, -1).astype(np.int64), 1)
    np.testing.assert_array_equal(chosen, y[0].reshape(3, -1))
