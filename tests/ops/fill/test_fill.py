"""Fills: constants, diagonals, ranges, random numbers."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run

from serverquant import core
from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError
from serverquant.blobs import dtypes
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace


@pytest.mark.parametrize("dtype", [1, 2, 5, 6, 7, 8, 9, 10, 13])
def test_constants_of_every_type(dtype):
    value = 3.5 if dtype in (1, 13) else 1
    y = run("ConstantFill", {}, shape=[2, 3], dtype=dtype, value=value)
    assert y.dtype == dtypes.NUMPY[dtype]
    assert y.shape == (2, 3)
    assert (y == value).all()


def test_a_large_integer_and_a_string():
    assert run("ConstantFill", {}, shape=[1], dtype=10, value=1 << 40)[0] == 1 << 40
    assert run("ConstantFill", {}, shape=[2], dtype=4, value=b"ab").tolist() == [b"ab", b"ab"]


def test_the_value_may_be_an_input():
    x = np.zeros((2, 2), np.float32)
    y = run("ConstantFill", {"X": x, "V": np.array([7], np.int32)}, dtype=2)
    assert y.dtype == np.int32
    assert (y == 7).all()
    with pytest.raises(DTypeError, match="int32"):
        run("ConstantFill", {"X": x, "V": np.array([7], np.int64)}, dtype=2)


def test_small_integers_are_known_while_planning():
    space = Workspace()
    space.create("X").feed(np.zeros((2, 6), np.float32))
    net = core.Net("n")
    net.AddExternalInput("X")
    net.ConstantFill([], ["dims"], shape=[2], value=-1, dtype=10)
    net.Slice(["dims"], ["S"], starts=[0], ends=[1])
    net.Reshape(["X", "S"], ["Y", "old"])
    bound = space.bind(read_net(net))
    bound.run()
    assert space.fetch("Y").shape == (12,)
    assert len(bound.last_plans) == 1


def test_a_shape_that_changes_while_running():
    space = Workspace()
    net = bind(space, "ConstantFill", {"S": np.array([2, 3])}, input_as_shape=1, value=2.0)
    for dims in ((2, 3), (4,), (1, 1, 2)):
        space.create("S").feed(np.array(dims))
        net.run()
        assert space.fetch("Y").shape == dims


def test_diagonals():
    np.testing.assert_array_equal(run("DiagonalFill", {}, shape=[3, 3], value=2.0), 2 * np.eye(3))
    np.testing.assert_array_equal(run("DiagonalFill", {}, shape=[2, 4], value=2.0), 2 * np.eye(2, 4))
    cube = run("DiagonalFill", {}, shape=[2, 2, 2], value=5, dtype=2)
    assert cube.tolist() == [[[5, 0], [0, 0]], [[0, 0], [0, 5]]]
    tall = run("DiagonalFill", {}, shape=[4, 2], value=1.0)
    assert np.flatnonzero(tall).tolist() == [0, 3, 6]


def test_ranges():
    np.testing.assert_array_equal(run("RangeFill", {}, shape=[2, 3]), np.arange(6, dtype=np.float32).reshape(2, 3))
    assert run("Range", {"n": np.array(4, np.int32)}).tolist() == [0, 1, 2, 3]
    assert run("Range", {"a": np.int64([2]), "b": np.int64([9]), "s": np.int64([3])}).tolist() == [2, 5, 8]
    assert run("Range", {"a": np.int64([5]), "b": np.int64([0]), "s": np.int64([-2])}).tolist() == [5, 3]
    assert run("Range", {"a": np.float64([5]), "b": np.float64([0]), "s": np.float64([-2])}).tolist() == [5, 3, 1]
    assert run("Range", {"a": np.int32([5]), "b": np.int32([0])}).shape == (0,)


def test_half_precision():
    y = run("Float16ConstantFill", {}, shape=[2], value=1e6)
    assert y.dtype == np.float16
    assert np.isinf(y).all()
    y = run("Float16UniformFill", {}, shape=[1000], min=-1.0, max=2.0)
    assert y.dtype == np.float16
    assert -1 <= y.min() < -0.9
    assert 1.9 < y.max() <= 2


def test_uniform_numbers_reach_both_ends():
    y = run("UniformIntFill", {}, shape=[1000], min=-2, max=3)
    assert y.dtype == np.int32
    assert set(y.tolist()) == set(range(-2, 4))
    y = run("UniformFill", {"S": np.array([1000]), "a": np.float32([-2]), "b": np.float32([3])}, input_as_shape=1)
    assert -2 <= y.min() < -1.9
    assert 2.9 < y.max() <= 3


def test_ends_in_the_wrong_order_leave_nothing():
    y = run("UniformFill", {"S": np.array([4, 2]), "a": np.float32([3]), "b": np.float32([2])}, input_as_shape=1)
    assert y.shape == (0, 2)


def test_unique_numbers():
    y = run("UniqueUniformFill", {}, shape=[5], min=1, max=5)
    assert sorted(y.tolist()) == [1, 2, 3, 4, 5]
    x = np.array([3])
    y = run("UniqueUniformFill", {"S": x, "A": np.array([2, 4])}, input_as_shape=1, min=1, max=5, dtype=10)
    assert sorted(y.tolist()) == [1, 3, 5]


def test_a_seed_makes_numbers_repeatable():
    option = core.DeviceOption(0, random_seed=5)
    first, second, other = (
        run("UniformFill", {}, shape=[4], device_option=o)
        for o in (option, option, core.DeviceOption(0, random_seed=6))
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_positions():
    y = run("SinusoidPositionEncoding", {"P": np.array([[1, 7], [3, 9]])}, embedding_size=4, alpha=100.0, amplitude=2.0)
    assert y.shape == (2, 2, 4)
    angles = np.array([1.0, 3.0])[:, None] / 100 ** (np.arange(4) / 4)
    want = 2 * np.where(np.arange(4) % 2, np.cos(angles), np.sin(angles))
    np.testing.assert_allclose(y, np.stack([want, want], 1), atol=1e-5)


def test_samples_follow_the_weights():
    weights = np.array([[0, 1, 0]] * 50 + [[1, 0, 3]] * 400, np.float32)
    values = np.tile(np.float32([5, 6, 7]), (450, 1))
    indices, picked = run("WeightedSample", {"W": weights, "V": values}, ("I", "P"))
    assert (indices[:50] == 1).all()
    assert set(indices[50:].ravel().tolist()) == {0, 2}
    assert 0.6 < (indices[50:] == 2).mean() < 0.9
    np.testing.assert_array_equal(picked, indices + 5)


@pytest.mark.parametrize(
    ("op", "feeds", "args", "error", "words"),
    [
        ("ConstantFill", {}, {"shape": [1], "dtype": 12}, ArgumentError, "dtype is 12"),
        ("ConstantFill", {}, {"shape": [1], "dtype": 6, "value": 300}, ArgumentError, "does not fit uint8"),
        ("ConstantFill", {}, {"shape": [1], "value": "x"}, ArgumentError, "number"),
        ("ConstantFill", {}, {"extra_shape": [1]}, ArgumentError, "needs an input"),
        ("ConstantFill", {"X": [1]}, {"shape": [1]}, ArgumentError, "together"),
        ("ConstantFill", {"X": []}, {"input_as_shape": 1}, ServerquantError, "1-D"),
        ("DiagonalFill", {}, {"shape": [3]}, ShapeError, "no diagonal"),
        ("DiagonalFill", {}, {"shape": [3, 3, 2]}, ShapeError, "no diagonal"),
        ("UniformFill", {}, {"shape": [1], "min": 1.0}, ArgumentError, "below max"),
        ("UniformIntFill", {"S": [1], "a": [1]}, {}, ArgumentError, "or three"),
        ("UniqueUniformFill", {}, {"shape": [7], "min": 1, "max": 5}, ShapeError, "cannot all differ"),
        ("UniqueUniformFill", {}, {"shape": [1], "min": 1}, ArgumentError, "max"),
        ("UniqueUniformFill", {}, {"shape": [1], "min": 1, "max": 2, "dtype": 1}, ArgumentError, "dtype is 1"),
        ("Range", {"a": [1], "b": [2], "s": [0]}, {}, ShapeError, "cannot be 0"),
        ("Range", {"a": [1, 2]}, {}, ShapeError, "one element"),
        ("SinusoidPositionEncoding", {"X": [1]}, {}, ShapeError, "2 dimensions"),
    ],
)
def test_refused(op, feeds, args, error, words):
    with pytest.raises(error, match=words):
        run(op, {name: np.array(value, np.int64) for name, value in feeds.items()}, **args)
