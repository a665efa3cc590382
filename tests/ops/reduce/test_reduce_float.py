"""Reductions: axes, types, empty tensors, lengths, batches, errors. The kernels' own tests have the order of sums."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ops.nets import check_rebatching, run

from serverquant import core
from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace

NUMPY = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceL1": lambda x, **where: np.sum(np.abs(x), **where),
    "ReduceL2": lambda x, **where: np.sqrt(np.sum(x * x, **where)),
}
X = np.random.default_rng(3).integers(-9, 9, (2, 3, 4, 2)).astype(np.float32)


@pytest.mark.parametrize("name", NUMPY)
def test_axes(name):
    for count in range(1, 5):
        for axes in itertools.combinations(range(4), count):
            for keepdims in (0, 1):
                want = NUMPY[name](X, axis=axes, keepdims=bool(keepdims))
                got = run(name, {"X": X}, axes=list(axes), keepdims=keepdims)
                assert got.shape == want.shape
                np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(run(name, {"X": X}, axes=[-1, -3]), NUMPY[name](X, axis=(1, 3), keepdims=True), 1e-6)
    assert run(name, {"X": X}).shape == (1, 1, 1, 1)
    assert run(name, {"X": X}, keepdims=0).shape == ()
    assert run(name, {"X": np.array(-3, np.float32)}) == NUMPY[name](np.float32(-3))


@pytest.mark.parametrize("name", ["ReduceSum", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
def test_types(name, dtype):
    x = X.astype(dtype)
    got = run(name, {"X": x}, axes=[1])
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, NUMPY[name](x, axis=1, keepdims=True))
    with pytest.raises(DTypeError):
        run("ReduceMean", {"X": x})


def test_nothing_to_reduce():
    x, largest = np.zeros((2, 0, 3), np.float32), np.finfo(np.float32).max
    for name, value in (("Sum", 0), ("Mean", 0), ("Max", -largest), ("Min", largest), ("L1", 0), ("L2", 0)):
        np.testing.assert_array_equal(run(f"Reduce{name}", {"X": x}, axes=[1]), np.full((2, 1, 3), value))
        assert run(f"Reduce{name}", {"X": x}, axes=[0]).shape == (1, 0, 3)
        assert run(f"Reduce{name}", {"X": x}, axes=[0, 1], keepdims=0).tolist() == [value] * 3
    for side, kind in itertools.product(("Front", "Back"), ("Sum", "Mean", "Max")):
        y = run(f"Reduce{side}{kind}", {"X": x}, num_reduce_dim=2)
        assert y.tolist() == [0] * (3 if side == "Front" else 2)
    assert run("SumElements", {"X": x}, average=1) == 0


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max"])
@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_sides(kind, count):
    reduce = {"Sum": np.sum, "Mean": np.mean, "Max": np.max}[kind]
    front = run(f"ReduceFront{kind}", {"X": X}, num_reduce_dim=count)
    np.testing.assert_allclose(front, reduce(X, axis=tuple(range(count))), rtol=1e-6)
    back = run(f"ReduceBack{kind}", {"X": X}, num_reduce_dim=count)
    np.testing.assert_allclose(back, reduce(X, axis=tuple(range(4 - count, 4))), rtol=1e-6)


def test_mean_of_integers_goes_towards_zero():
    x = np.int64([[-1, 2, -4], [-5, -5, 6]])
    assert run("ReduceFrontMean", {"X": x}).tolist() == [-3, -1, 1]
    assert run("ReduceBackMean", {"X": x}).tolist() == [-1, -1]


def test_lengths():
    x = np.float32([[1, -2, 3], [4, 5, 6]])
    back, front = np.int32([2, 3]), np.int32([1, 2, 0])
    assert run("ReduceBackSum", {"X": x, "L": back}).tolist() == [-1, 15]
    assert run("ReduceBackMean", {"X": x, "L": back}).tolist() == [-0.5, 5]
    assert run("ReduceBackMax", {"X": x, "L": back}).tolist() == [1, 6]
    # A length of 0 still counts the first element, as in Caffe2.
    assert run("ReduceFrontSum", {"X": x, "L": front}).tolist() == [1, 3, 3]
    assert run("ReduceFrontMean", {"X": x, "L": front}).tolist() == [1, 1.5, np.inf]
    assert run("ReduceFrontMax", {"X": x, "L": front}).tolist() == [1, 5, 3]
    with pytest.raises(ServerquantError, match="length 4 at position 1 is more than the 3 elements"):
        run("ReduceBackSum", {"X": x, "L": np.int32([0, 4])})
    with pytest.raises(ServerquantError, match="length 0 at position 1: integers cannot be divided"):
        run("ReduceBackMean", {"X": x.astype(np.int32), "L": np.int32([1, 0])})
    with pytest.raises(ShapeError, match="one length for each of the 2"):
        run("ReduceBackSum", {"X": x, "L": np.int32([1])})
    with pytest.raises(ArgumentError, match="must be 1 with lengths"):
        run("ReduceBackSum", {"X": x, "L": back}, num_reduce_dim=2)


def test_whole():
    assert run("SumElements", {"X": X}) == X.sum()
    mean = np.float32(7) * (np.float32(1) / np.float32(3))
    assert run("SumElements", {"X": np.float32([1, 2, 4])}, average=1) == mean
    assert run("SumElementsInt", {"X": np.int32([1, 2])}) == 3
    assert run("SumSqrElements", {"X": np.float64([1, 2, 4])}) == 21
    # The mean is a product with a single precision reciprocal, in double too.
    third = np.float64(np.float32(1) / np.float32(3))
    assert run("SumSqrElements", {"X": np.float64([1, 2, 4])}, average=1) == 21 * third
    np.testing.assert_array_equal(run("ReduceTailSum", {"X": X}), X.sum(axis=(1, 2, 3)))
    np.testing.assert_array_equal(run("RowwiseMax", {"X": X[0]}), X[0].max(axis=2))
    np.testing.assert_array_equal(run("ColwiseMax", {"X": X[0]}), X[0].max(axis=1))


@pytest.mark.parametrize(
    ("name", "arguments", "error", "says"),
    [
        ("ReduceSum", {"axes": [4]}, ArgumentError, "axes is 4"),
        ("ReduceFrontSum", {"num_reduce_dim": 5}, ArgumentError, "num_reduce_dim is 5"),
        ("RowwiseMax", {}, ShapeError, "3 dimensions"),
        ("ArgMax", {"axis": 4}, ArgumentError, "axis is 4"),
        ("ArgMin", {"axis": -2}, ArgumentError, "only -1 counts from the end"),
        ("TopK", {"k": 0}, ArgumentError, "k is 0"),
        ("TopK", {}, ArgumentError, "k is -1"),
    ],
)
def test_bad_arguments(name, arguments, error, says):
    with pytest.raises(error, match=says):
        run(name, {"X": X}, ("Y", "I") if name == "TopK" else ("Y",), **arguments)


def test_new_batches_need_no_plan():
    def feeds_of(batch):
        return {"X": np.resize(X, (batch, *X.shape[1:]))}

    for name, arguments in (
        ("ReduceMean", {"axes": [1, 3], "keepdims": 0}),
        ("ReduceMax", {"axes": [0, 2]}),
        ("ReduceL2", {"axes": [0], "keepdims": 0}),
        ("ReduceFrontSum", {}),
        ("ReduceBackMean", {"num_reduce_dim": 3}),
        ("SumElements", {}),
        ("ArgMax", {"axis": 2}),
    ):
        check_rebatching(name, feeds_of, **arguments)
    check_rebatching("TopK", feeds_of, outputs=("V", "I"), k=3)


def test_arg():
    for axis in range(4):
        np.testing.assert_array_equal(run("ArgMax", {"X": X}, axis=axis, keepdims=0), np.argmax(X, axis))
        want = np.expand_dims(np.argmin(X, axis), axis)
        np.testing.assert_array_equal(run("ArgMin", {"X": X.astype(np.int32)}, axis=axis), want)
    assert run("ArgMax", {"X": np.zeros((2, 0), np.float32)}).tolist() == [[0], [0]]


def test_top_k():
    x = np.float32([[3, 1, 3, 0], [1, 1, 1, 2]])
    outputs = ("V", "I", "F")
    for feeds, arguments in (({"X": x}, {"k": 2}), ({"X": x, "K": np.int64([2])}, {})):
        values, places, flat = run("TopK", feeds, outputs, **arguments)
        assert values.tolist() == [[3, 3], [2, 1]]
        assert places.tolist() == [[0, 2], [3, 0]]
        assert flat.tolist() == [0, 2, 7, 4]
    values, places, flat = run("TopK", {"X": x}, outputs, k=3, axis=0)
    assert values.tolist() == [[3, 1, 3, 2], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert places.tolist() == [[0, 0, 0, 1], [1, 1, 1, 0], [-1] * 4]
    assert flat.tolist() == [0, 1, 2, 7, 4, 5, 6, 3, -1, -1, -1, -1]


def test_top_k_with_a_k_that_comes_late():
    space = Workspace()
    space.create("X").feed(np.float32([[3, 1, 2]]))
    space.create("N").feed(np.int64([1, 1]))
    net = core.Net("net")
    net.AddExternalInput("X", "N")
    net.ReduceSum("N", "K", axes=[0])
    net.TopK(["X", "K"], ["V", "I"])
    space.bind(read_net(net)).run()
    assert space.fetch("V").tolist() == [[3, 2]]
    assert space.fetch("I").tolist() == [[0, 2]]
