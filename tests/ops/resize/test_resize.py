"""ResizeNearest, UpsampleBilinear, PadImage, ChannelShuffle, blocks and batches."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import check_rebatching, run

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.store import Int8


def image(*dims: int) -> np.ndarray:
    return np.random.default_rng(len(dims)).normal(size=dims).astype(np.float32)


SCALES = {"height_scale": 1.5, "width_scale": 2.0}


@pytest.mark.parametrize(
    ("op", "dims", "args"),
    [
        ("ResizeNearest", (2, 3, 4, 5), SCALES),
        ("ResizeNearest", (2, 4, 5, 3), {**SCALES, "order": "NHWC"}),
        ("ResizeNearest3D", (2, 3, 2, 4, 5), {"temporal_scale": 2.0, "height_scale": 2.0, "width_scale": 2.0}),
        ("UpsampleBilinear", (2, 3, 4, 5), SCALES),
        ("PadImage", (2, 3, 4, 5), {"pads": [1, 2, 3, 1], "value": 7.0}),
        ("PadImage", (2, 4, 5, 3), {"pad": 2, "mode": "reflect", "order": "NHWC"}),
        ("ChannelShuffle", (2, 6, 4), {"group": 3}),
        ("ChannelShuffle", (2, 4, 6), {"group": 2, "order": "NHWC"}),
    ],
)
def test_new_batches_need_no_plan(op, dims, args):
    check_rebatching(op, lambda n: {"X": image(n, *dims[1:])}, **args)


@pytest.mark.parametrize("op", ["ResizeNearest", "UpsampleBilinear"])
def test_scales_from_a_blob(op):
    x = image(1, 2, 4, 5)
    y = run(op, {"X": x, "S": np.array([1.5, 2], np.float32)}, height_scale=9.0)
    np.testing.assert_array_equal(y, run(op, {"X": x}, **SCALES))


def test_nearest_of_bytes():
    x = np.arange(12, dtype=np.uint8).reshape(1, 1, 3, 4)
    y = run("ResizeNearest", {"X": x}, height_scale=2.0, width_scale=2.0)
    np.testing.assert_array_equal(y, x.repeat(2, 2).repeat(2, 3))


def test_bilinear_keeps_corners():
    x = image(2, 3, 4, 5)
    y = run("UpsampleBilinear", {"X": x}, height_scale=3.0, width_scale=2.0)
    assert y.shape == (2, 3, 12, 10)
    np.testing.assert_array_equal(y[:, :, ::11, ::9], x[:, :, ::3, ::4])


@pytest.mark.parametrize(("mode", "numpy_mode"), [("constant", "constant"), ("reflect", "reflect"), ("edge", "edge")])
@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_pad_modes(mode, numpy_mode, order):
    x = image(2, 5, 4, 6)
    pads = [(0, 0), (1, 3), (2, 0), (0, 0)] if order == "NHWC" else [(0, 0), (0, 0), (1, 3), (2, 0)]
    y = run("PadImage", {"X": x}, pads=[1, 2, 3, 0], mode=mode, order=order)
    np.testing.assert_array_equal(y, np.pad(x, pads, numpy_mode))


def test_pads_below_0_cut_off():
    x = image(1, 1, 4, 6)
    y = run("PadImage", {"X": x}, pad_t=-1, pad_l=1, pad_b=0, pad_r=-2, value=3.0)
    np.testing.assert_array_equal(y[0, 0, :, 1:], x[0, 0, 1:, :-2])
    assert (y[0, 0, :, 0] == 3).all()


def test_blocks_and_back():
    x = image(3, 2, 4, 6)
    y = run("SpaceToBatch", {"X": x}, block_size=2, pad=1)
    assert y.shape == (12, 2, 3, 4)
    np.testing.assert_array_equal(y[0], np.pad(x[0], [(0, 0), (1, 1), (1, 1)])[:, ::2, ::2])
    np.testing.assert_array_equal(run("BatchToSpace", {"Y": y}, ("Z",), block_size=2, pad=1), x)


def test_integral_image():
    x = np.round(image(2, 3, 4, 5) * 8)
    y = run("IntegralImage", {"X": x})
    np.testing.assert_array_equal(y[:, :, 1:, 1:], x.cumsum(2).cumsum(3))
    assert not y[:, :, 0].any()
    assert not y[:, :, :, 0].any()


@pytest.mark.parametrize(
    ("op", "dims", "args", "error", "words"),
    [
        ("ResizeNearest", (1, 1, 2), {}, ShapeError, "4 dimensions"),
        ("ResizeNearest", (1, 1, 2, 2), {"height_scale": 0.0}, ArgumentError, "positive"),
        ("ResizeNearest", (1, 1, 2, 2), {"width_scale": float("inf")}, ArgumentError, "positive"),
        ("ResizeNearest", (1, 1, 2, 2), {"width_scale": 1e12}, ShapeError, "too many"),
        ("UpsampleBilinear", (1, 1, 4, 4), {"width_scale": 1e38}, ShapeError, "too many"),
        ("ResizeNearest", (1, 1, 2, 2), {"order": "CHWN"}, ArgumentError, "NCHW or NHWC"),
        ("ResizeNearest3D", (1, 1, 2, 2, 2), {"height_scale": 3.0}, ArgumentError, "must be 2"),
        ("PadImage", (1, 1, 2, 2), {"pad": -1}, ShapeError, "leave nothing"),
        ("PadImage", (1, 1, 2, 2), {"pad": 2, "mode": "reflect"}, ShapeError, "mode reflect"),
        ("PadImage", (1, 1, 2, 2), {"mode": "wrap"}, ArgumentError, "constant, reflect or edge"),
        ("PadImage", (1, 1, 2, 2), {"pads": [1, 2]}, ArgumentError, "needs 4"),
        ("PadImage", (1, 1, 2, 2), {"stride": 2}, ArgumentError, "no stride"),
        ("PadImage", (1, 1, 2, 2), {"legacy_pad": 1}, ArgumentError, "legacy_pad is 1"),
        ("PadImage", (1, 0, 2, 2), {"pad": 1}, ShapeError, "with pixels"),
        ("ChannelShuffle", (1, 5, 2), {"group": 2}, ShapeError, "multiple of 2"),
        ("ChannelShuffle", (1, 5, 2), {"group": 0}, ArgumentError, "at least 1"),
        ("SpaceToBatch", (1, 1, 3, 4), {}, ShapeError, "block size"),
        ("SpaceToBatch", (1, 1, 4, 4), {"order": "NHWC"}, ArgumentError, "NCHW only"),
        ("SpaceToBatch", (1, 1, 4, 4), {"pad": -1}, ArgumentError, "negative"),
        ("SpaceToBatch", (1, 1, 4, 4), {"block_size": 0}, ArgumentError, "block_size is 0"),
        ("BatchToSpace", (3, 1, 4, 4), {}, ShapeError, "batch of at least 4"),
        ("IntegralImage", (3, 4), {}, ShapeError, "4 dimensions"),
    ],
)
def test_refused(op, dims, args, error, words):
    with pytest.raises(error, match=words):
        run(op, {"X": image(*dims)}, **args)


def test_bad_scales_in_a_blob():
    with pytest.raises(ArgumentError, match="positive"):
        run("ResizeNearest", {"X": image(1, 1, 2, 2), "S": np.array([1, -1], np.float32)})
    with pytest.raises(ShapeError, match="2 scales"):
        run("ResizeNearest", {"X": image(1, 1, 2, 2), "S": np.array([1], np.float32)})


def test_int8_frames():
    x = Int8(np.arange(2 * 3 * 4 * 5 * 2, dtype=np.uint8).reshape(2, 3, 4, 5, 2), np.float32(0.3), 7)
    scales = {"temporal_scale": 1.5, "height_scale": 0.5, "width_scale": 2.0}
    got = run("Int8ResizeNearest3D", {"X": x}, engine="DNNLOWP", **scales)
    t, h, w = np.int32([0, 0, 1, 2]), np.int32([0, 2]), np.arange(10) // 2
    np.testing.assert_array_equal(got.data, x.data[:, t][:, :, h][:, :, :, w])
    assert got[1:] == x[1:]
