"""Concat, Split, Slice, Tile, NumpyTile, Expand."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, check_rebatching, feed, run

from serverquant import Int8, core
from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace


def numbers(*dims: int, dtype=np.float32) -> np.ndarray:
    return np.arange(np.prod(dims, dtype=int)).reshape(dims).astype(dtype)


def test_axis_comes_from_order():
    x = numbers(2, 3, 4, 5)
    for order, axis in (("NCHW", 1), ("NHWC", 3)):
        y, sizes = run("Concat", {"A": x, "B": x}, ("Y", "sizes"), order=order)
        np.testing.assert_array_equal(y, np.concatenate([x, x], axis))
        assert sizes.tolist() == [x.shape[axis]] * 2


def test_parts_whose_parameters_change_between_runs():
    """Tables of the requantization are kept, but not beyond that."""
    q, f32, space, net = np.arange(256, dtype=np.uint8), np.float32, Workspace(), None
    for scale_a, scale_b, zero_b in ((0.25, 1.0, 7), (0.25, 1.0, 7), (2.0, 1.0, 7), (2.0, 1.0, 9), (2.0, 0.1, 9)):
        feeds = {"A": Int8(q, scale_a, 4), "B": Int8(q, scale_b, zero_b)}
        args = {"engine": "DNNLOWP", "axis": 0, "Y_scale": 0.5, "Y_zero_point": 3}
        net = net or bind(space, "Int8Concat", feeds, ("Y", "sizes"), **args)
        for name, value in feeds.items():
            feed(space, name, value)
        net.run()
        want = [
            np.clip(np.rint((q.astype(f32) - z) * (f32(s) / f32(0.5))) + 3, 0, 255).astype(np.uint8)
            for s, z in ((scale_a, 4), (scale_b, zero_b))
        ]
        np.testing.assert_array_equal(space.fetch("Y").data, np.concatenate(want))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_split_with_add_axis_undoes_concat(axis):
    parts = {f"X{i}": numbers(2, 3) + i for i in range(4)}
    y, _ = run("Concat", parts, ("Y", "sizes"), axis=axis, add_axis=1)
    np.testing.assert_array_equal(y, np.stack(list(parts.values()), axis))
    back = run("Split", {"Y": y}, tuple(f"Z{i}" for i in range(4)), axis=axis, add_axis=1)
    for part, again in zip(parts.values(), back):
        np.testing.assert_array_equal(part, again)


@pytest.mark.parametrize(
    ("op", "dims", "outputs", "args"),
    [
        ("Concat", [(4, 2), (4, 3)], ("Y", "sizes"), {"axis": 1}),
        ("Concat", [(4, 2), (4, 2)], ("Y", "sizes"), {"axis": 0}),
        ("Concat", [(4, 2), (4, 2)], ("Y", "sizes"), {"axis": 0, "add_axis": 1}),
        ("Concat", [(4, 2), (4, 2)], ("Y", "sizes"), {"axis": 1, "add_axis": 1}),
        ("Split", [(4, 6)], ("Y", "Z"), {"axis": 1, "split": [2, 4]}),
        ("Split", [(4, 6)], ("Y", "Z"), {"axis": 0}),
        ("Split", [(4, 2)], ("Y", "Z"), {"axis": 1, "add_axis": 1}),
        ("Slice", [(4, 6)], ("Y",), {"starts": [0, 1], "ends": [-1, 3]}),
        ("Slice", [(4, 6)], ("Y",), {"starts": [-3, 0], "ends": [-1, -1]}),
        ("Slice", [(4, 6)], ("Y",), {"starts": [0], "ends": [2]}),
        ("Tile", [(4, 3)], ("Y",), {"tiles": 3, "axis": 0}),
        ("Tile", [(4, 3)], ("Y",), {"tiles": 3, "axis": -1}),
    ],
)
def test_new_batches_need_no_plan(op, dims, outputs, args):
    def feeds(n: int) -> dict:
        return {f"X{i}": numbers(n, *d[1:]) + 100 * i for i, d in enumerate(dims)}

    check_rebatching(op, feeds, (4, 8, 2), outputs, **args)


def test_repeats_and_shapes_that_stay_allow_other_batches():
    check_rebatching("NumpyTile", lambda n: {"X": numbers(n, 3), "R": np.array([2, 3])})
    check_rebatching("Expand", lambda n: {"X": numbers(n, 1), "S": np.array([1, 4])})
    check_rebatching("Expand", lambda n: {"X": numbers(n, 1), "S": np.array([4])})


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int32, np.float64, np.bool_])
@pytest.mark.parametrize("repeats", [(1, 1, 1), (2, 1, 3), (3, 2, 1), (1, 4, 1), (0, 2, 2)])
def test_numpy_tile(dtype, repeats):
    x = numbers(3, 1, 5, dtype=dtype)
    np.testing.assert_array_equal(run("NumpyTile", {"X": x, "R": np.array(repeats)}), np.tile(x, repeats))


def test_tile_by_int64_takes_axis_0_as_caffe2_does():
    x = numbers(2, 3)
    y = run("Tile", {"X": x, "T": np.array([2], np.int64)}, axis=1)
    np.testing.assert_array_equal(y, np.tile(x, (2, 1)))
    y = run("Tile", {"X": x, "T": np.array([2], np.int32)}, axis=1)
    np.testing.assert_array_equal(y, np.tile(x, (1, 2)))
    y = run("Tile", {"X": x, "T": np.array([2], np.int64), "A": np.array([1], np.int64)})
    np.testing.assert_array_equal(y, np.tile(x, (1, 2)))


def test_expand_keeps_what_the_shape_leaves_open():
    x = numbers(2, 1, 3)
    y = run("Expand", {"X": x, "S": np.array([4, -1, 5, 0])})
    np.testing.assert_array_equal(y, np.broadcast_to(x, (4, 2, 5, 3)))


def test_split_by_lengths_scales():
    x = numbers(2, 12)
    y, z = run(
        "SplitByLengths", {"X": x, "L": np.array([1, 0, 2, 3], np.int32)}, ("Y", "Z"), axis=1, use_scaling_lengths=1
    )
    np.testing.assert_array_equal(y, x[:, :2])
    np.testing.assert_array_equal(z, x[:, 2:])


def test_strings():
    a, b = np.array(["a", "bb"], object), np.array(["c"], object)
    y, sizes = run("Concat", {"A": a, "B": b}, ("Y", "sizes"), axis=0)
    assert y.tolist() == [b"a", b"bb", b"c"]
    assert sizes.tolist() == [2, 1]
    y, z = run("Split", {"Y": y}, ("P", "Q"), axis=0, split=[1, 2])
    assert y.tolist() == [b"a"]
    assert z.tolist() == [b"bb", b"c"]


def test_shapes_computed_while_planning_end_no_segment():
    """What the ONNX exporter writes for x.view(n, -1) with n from Shape."""
    space = Workspace()
    space.create("X").feed(numbers(4, 2, 3))
    net = core.Net("n")
    net.AddExternalInput("X")
    net.Shape(["X"], ["dims"])
    net.Slice(["dims"], ["first"], starts=[0], ends=[1])
    net.Split(["dims"], ["d0", "d1", "d2"], axis=0)
    net.GivenTensorInt64Fill([], ["rest"], shape=[1], values=[-1])
    net.Concat(["first", "rest"], ["wanted", "sizes"], axis=0)
    net.Reshape(["X", "wanted"], ["Y", "old"])
    bound = space.bind(read_net(net))
    bound.run()
    assert space.fetch("Y").shape == (4, 6)
    assert space.fetch("d2").tolist() == [3]
    assert space.fetch("sizes").tolist() == [1, 1]


@pytest.mark.parametrize(
    ("op", "feeds", "args", "error", "words"),
    [
        ("Concat", [(2, 3), (3, 2)], {"axis": 1}, ShapeError, "axis 1 aside"),
        ("Concat", [(2, 3), (2, 4)], {"axis": 1, "add_axis": 1}, ShapeError, "shape of input 0"),
        ("Concat", [(2, 3)], {"axis": 1, "order": "NCHW"}, ArgumentError, "together"),
        ("Concat", [(2, 3)], {"axis": 2}, ArgumentError, "axis is 2"),
        ("Concat", [(2, 3)], {"order": "NHWC"}, ShapeError, "axis 3"),
        ("Concat", [(2, 3)], {"order": "CHW"}, ArgumentError, "NCHW or NHWC"),
        ("Split", [(2, 3)], {"axis": 1}, ShapeError, "multiple"),
        ("Split", [(2, 3)], {"axis": 1, "split": [1, 1]}, ShapeError, "add up"),
        ("Split", [(2, 3)], {"axis": 1, "split": [4, -1]}, ShapeError, "add up"),
        ("Split", [(2, 3)], {"axis": 1, "split": [3]}, ArgumentError, "1 sizes for 2"),
        ("Split", [(2, 3)], {"axis": 1, "add_axis": 1}, ShapeError, "multiple"),
        ("Slice", [(2, 3)], {"starts": [0, 2], "ends": [-1, 1]}, ShapeError, "from 2 to 1"),
        ("Slice", [(2, 3)], {"starts": [1, 1], "ends": [-1, -1]}, ShapeError, "cuts one dim"),
        ("Slice", [(2, 3)], {"starts": [0, 0, 0], "ends": [1, 1, 1]}, ShapeError, "3 starts"),
        ("Slice", [(2, 3)], {}, ArgumentError, "starts and ends"),
        ("Slice", [(2, 3), (2,)], {}, ArgumentError, "three"),
        ("Tile", [(2, 3)], {"axis": 1}, ArgumentError, "tiles"),
        ("Tile", [(2, 3)], {"tiles": 1}, ArgumentError, "axis"),
        ("Tile", [(2, 3)], {"axis": 0, "tiles": -1}, ShapeError, "negative"),
    ],
)
def test_refused(op, feeds, args, error, words):
    outputs = ("Y",) if op in ("Slice", "Tile") else ("Y", "Z")
    with pytest.raises(error, match=words):
        run(op, {f"X{i}": numbers(*dims) for i, dims in enumerate(feeds)}, outputs, **args)


def test_types_that_differ_are_refused():
    with pytest.raises(DTypeError, match="float"):
        run("Concat", {"A": numbers(2), "B": numbers(2, dtype=np.int32)}, ("Y", "Z"), axis=0)
    with pytest.raises(DTypeError, match="int64"):
        run("NumpyTile", {"X": numbers(2), "R": np.array([1], np.int32)})
    with pytest.raises(DTypeError, match="int32"):
        run("Split", {"X": numbers(2), "S": np.array([1, 1], np.int64)}, ("Y", "Z"), axis=0)


def test_shapes_that_do_not_expand_are_refused():
    with pytest.raises(ShapeError, match="counted from the last"):
        run("Expand", {"X": numbers(2, 3), "S": np.array([2, 2])})
    with pytest.raises(ShapeError, match="none 0"):
        run("Expand", {"X": numbers(0, 3), "S": np.array([1, 3])})
    with pytest.raises(ShapeError, match="one number for each"):
        run("NumpyTile", {"X": numbers(2, 3), "R": np.array([2])})
    with pytest.raises(ShapeError, match="negative"):
        run("NumpyTile", {"X": numbers(2, 3), "R": np.array([2, -1])})


def test_more_dimensions_than_the_kernel_takes_are_refused():
    x = numbers(*[2] * 10)
    with pytest.raises(RuntimeError, match="more dimensions"):
        run("NumpyTile", {"X": x, "R": np.array([2] * 10)})
