"""Operators of the mobile set that move bytes: parameters are kept and checked; RoIAlign against its rule."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError
from serverquant.blobs.store import Int8
from serverquant.runtime.workspace import Workspace

DATA = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
X = Int8(DATA, np.float32(0.25), 17)


@pytest.mark.parametrize(
    ("op_type", "args", "want"),
    [
        ("Int8Reshape", {"shape": [0, -1]}, DATA.reshape(2, 60)),
        ("Int8Flatten", {"axis": 2}, DATA.reshape(6, 20)),
        ("Int8Transpose", {}, DATA.T),
        ("Int8Transpose", {"axes": [0, 2, 3, 1]}, DATA.transpose(0, 2, 3, 1)),
        ("Int8Slice", {"dim": 3, "start_idx": 1, "end_idx": -1}, DATA[..., 1:]),
        ("Int8Slice", {"starts": [0, 1, 0, 0], "ends": [-1, 2, -1, -1]}, DATA[:, 1:2]),
        ("Int8ResizeNearest", {"height_scale": 2.0, "width_scale": 0.5}, DATA.repeat(2, axis=1)[:, :, ::2]),
        ("Int8Concat", {}, DATA),
    ],
)
def test_moves(op_type, args, want):
    for given in ({}, {"Y_scale": 0.25, "Y_zero_point": 17}):
        got = run(op_type, {"X": X}, ("Y", "old")[: 1 + (op_type == "Int8Reshape")], **args, **given)
        got = got[0] if isinstance(got, list) else got
        np.testing.assert_array_equal(got.data, want)
        assert (got.scale, got.zero_point) == (X.scale, X.zero_point)


def test_shuffle():
    x = Int8(np.arange(12, dtype=np.uint8).reshape(1, 1, 2, 6), np.float32(0.5), 3)
    got = run("Int8ChannelShuffle", {"X": x}, group=3, order="NHWC")
    np.testing.assert_array_equal(got.data, x.data[..., [0, 2, 4, 1, 3, 5]])


def test_concat_takes_the_first_parameters():
    other = Int8(DATA + 1, np.float32(9), 200)
    for args, axis in (({"order": "NHWC"}, 3), ({"order": "NCHW"}, 1), ({}, 0), ({"axis": 2, "order": "NHWC"}, 2)):
        got, sizes = run("Int8Concat", {"A": X, "B": other}, ("Y", "split"), **args)
        np.testing.assert_array_equal(got.data, np.concatenate([DATA, DATA + 1], axis))
        np.testing.assert_array_equal(sizes, [DATA.shape[axis]] * 2)
        assert (got.scale, got.zero_point) == (X.scale, X.zero_point)


def test_the_scale_is_checked_at_every_run():
    space = Workspace()
    net = bind(space, "Int8Transpose", {"X": X}, Y_scale=0.25, Y_zero_point=17)
    net.run()
    feed(space, "X", Int8(DATA, np.float32(0.5), 17))
    with pytest.raises(ServerquantError, match=r"Y_scale is 0\.25, but the input's scale is 0\.5"):
        net.run()
    feed(space, "X", Int8(DATA[:1], np.float32(0.25), 17))
    net.run()
    np.testing.assert_array_equal(space.fetch("Y").data, DATA[:1].T)


@pytest.mark.parametrize(
    ("op_type", "x", "args", "error", "words"),
    [
        ("Int8Flatten", X, {"Y_zero_point": 3}, ServerquantError, "Y_zero_point is 3"),
        ("Int8Flatten", DATA.astype(np.float32), {}, DTypeError, "Int8 tensor"),
        ("Int8ChannelShuffle", X, {"group": 1, "order": "NHWC"}, ArgumentError, "group is 1"),
        ("Int8ChannelShuffle", X, {"group": 5, "order": "NCHW"}, ServerquantError, "NHWC"),
        ("Int8Concat", X, {"Y_scale": 0.5}, ServerquantError, "must be equal"),
        ("Int8Slice", X, {"dim": 1, "start_idx": 0}, ArgumentError, "start_idx and end_idx"),
        ("Int8Slice", X, {"dim": 4, "start_idx": 0, "end_idx": 1}, ArgumentError, "dim is 4"),
        ("Int8Slice", X, {"dim": 1, "start_idx": 7, "end_idx": -1}, ArgumentError, "start_idx is 7"),
    ],
)
def test_refused(op_type, x, args, error, words):
    with pytest.raises(error, match=words):
        run(op_type, {"X": x}, **args)


def align(x, rois, pooled, ratio, y_scale, y_zero):
    """One point after another, in whole numbers; rois (x1, y1, x2, y2), spatial_scale 1."""
    f = np.float32
    height, width = x.data.shape[1:3]
    out = np.zeros((len(rois), pooled, pooled, x.data.shape[3]), np.uint8)
    factor = float(x.scale) / (float(np.float32(y_scale)) * 255 * ratio * ratio)
    for n, ph, pw in np.ndindex(out.shape[:3]):
        x1, y1, x2, y2 = rois[n]
        sides = max(f(y2 - y1), f(1)) / f(pooled), max(f(x2 - x1), f(1)) / f(pooled)
        total = np.zeros(x.data.shape[3], np.int64)
        for iy, ix in np.ndindex(ratio, ratio):
            at = [
                start + f(p) * side + f(i + 0.5) * (side / f(ratio))
                for start, p, side, i in ((y1, ph, sides[0], iy), (x1, pw, sides[1], ix))
            ]
            total -= 255 * x.zero_point
            if not (-1 <= at[0] <= height and -1 <= at[1] <= width):
                continue
            low = [int(min(max(v, f(0)), f(size - 1))) for v, size in zip(at, (height, width))]
            far = [min(max(v, f(0)), f(size - 1)) - f(k) for v, size, k in zip(at, (height, width), low)]
            for dy, dx in np.ndindex(2, 2):
                weight = (far[0] if dy else f(1) - far[0]) * (far[1] if dx else f(1) - far[1])
                pixel = x.data[0, min(low[0] + dy, height - 1), min(low[1] + dx, width - 1)]
                total += int(np.rint(f(weight * f(255)))) * pixel.astype(np.int64)
        q = np.floor(np.abs(total) * factor + 0.5) * np.sign(total) + y_zero
        out[n, ph, pw] = np.clip(q, 0, 255)
    return out


@pytest.mark.parametrize("channels", [1, 5, 70])
def test_roi_align(channels):
    random = np.random.default_rng(channels)
    x = Int8(random.integers(0, 256, (1, 9, 7, channels)).astype(np.uint8), np.float32(0.1), 90)
    corners = random.uniform(-2, 6, (6, 2)).astype(np.float32)
    rois = np.concatenate([corners, corners + random.uniform(0.2, 5, (6, 2)).astype(np.float32)], 1)
    args = {"order": "NHWC", "pooled_h": 3, "pooled_w": 3, "sampling_ratio": 2, "Y_scale": 0.11, "Y_zero_point": 60}
    got = run("Int8RoIAlign", {"X": x, "R": rois}, **args)
    want = align(x, rois, 3, 2, 0.11, 60)
    assert np.abs(got.data.astype(int) - want).max() <= 1
    assert (got.data != want).mean() < 0.001
    with pytest.raises(ArgumentError, match="sampling_ratio is -1"):
        run("Int8RoIAlign", {"X": x, "R": rois}, order="NHWC", Y_scale=0.11)
    with pytest.raises(ServerquantError, match="ratio of scales"):
        run("Int8RoIAlign", {"X": x, "R": rois}, **{**args, "Y_scale": 1e-5})
