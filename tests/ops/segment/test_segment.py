"""Reductions of segments: shapes that come late, new sizes, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant import core
from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace

X = np.arange(12, dtype=np.float32).reshape(6, 2)


def test_new_numbers_of_segments_and_rows():
    space = Workspace()
    net = bind(space, "LengthsSum", {"X": X, "L": np.int32([1, 5])})
    net.run()
    for lengths in ([2, 0, 1], [], [4], [1, 1, 1, 1, 1]):
        rows = X[: sum(lengths)]
        feed(space, "X", rows)
        feed(space, "L", np.int32(lengths))
        net.run()
        parts = np.split(rows, np.cumsum(lengths)[:-1].astype(int)) if lengths else []
        want = np.array([part.sum(0) for part in parts]).reshape(-1, 2)
        np.testing.assert_array_equal(space.fetch("Y"), want)


def test_an_operator_behind_one_whose_shape_comes_late():
    space = Workspace()
    net = core.Net("late")
    net.AddExternalInput("X", "S")
    net.SortedSegmentSum(["X", "S"], "Y")
    net.Relu("Y", "Z")
    for ids in ([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0]):
        feed(space, "X", X)
        feed(space, "S", np.int32(ids))
        bound = space.bind(read_net(net))
        bound.run()
        assert space.fetch("Z").tolist() == [X[np.int32(ids) == s].sum(0).tolist() for s in range(ids[-1] + 1)]


def test_no_rows():
    none = {"X": X[:0], "S": np.int32([])}
    assert run("SortedSegmentMean", none).shape == (0, 2)
    assert run("UnsortedSegmentSum", none).shape == (0, 2)
    assert run("UnsortedSegmentSum", none, num_segments=3).tolist() == [[0, 0]] * 3
    assert run("LengthsMax", {"X": X[:0], "L": np.int32([0, 0])}).tolist() == [[0, 0]] * 2


def test_weighted_front():
    weights = np.float32([1, 2, 0, 0, 0, 10])
    np.testing.assert_array_equal(run("ReduceFrontWeightedSum", {"X": X, "W": weights}), weights @ X)
    both = np.ones((6, 2), np.float32)
    assert run("ReduceFrontWeightedSum", {"X": X, "W": both}, num_reduce_dim=2) == X.sum()


@pytest.mark.parametrize(
    ("op", "groups", "says"),
    [
        ("LengthsSum", [2, 3], "the lengths add up to 5, but there are 6 rows"),
        ("LengthsSum", [7, -1], "length -1 at position 1 is negative"),
        ("SortedSegmentSum", [1, 1, 2, 2, 3, 3], "segment id 1 at position 0: ids start at 0"),
        ("SortedSegmentSum", [0, 0, 1, 0, 1, 1], "segment id 0 at position 3"),
        ("SortedSegmentSum", [0, 0, 0, 2, 2, 2], "segment id 2 at position 3"),
        ("SortedSegmentRangeMax", [0, 0, -1, 0, 0, 0], "segment id -1 at position 2 is negative"),
        ("UnsortedSegmentMean", [0, 1, 2, 3, -4, 0], "segment id -4 at position 4 is negative"),
        ("UnsortedSegmentMean", [0, 0, 0, 0, 0, 2**31 - 1], "would make an output of 2147483648 rows"),
    ],
)
def test_bad_groups(op, groups, says):
    with pytest.raises(ServerquantError, match=says):
        run(op, {"X": X, "S": np.int32(groups)})


def test_bad_numbers():
    ids = np.int32([0, 1, 2, 3, 4, 5])
    with pytest.raises(ServerquantError, match="segment id 5 is out of range for num_segments = 5"):
        run("UnsortedSegmentSum", {"X": X, "S": ids}, num_segments=5)
    with pytest.raises(ArgumentError, match="num_segments is -2"):
        run("UnsortedSegmentSum", {"X": X, "S": ids}, num_segments=-2)
    for index in (6, -1):
        with pytest.raises(ServerquantError, match=f"index {index} at position 1 is out of range for 6 rows"):
            run("SparseSortedSegmentSum", {"X": X, "I": np.int64([0, index]), "S": ids[:2]})


@pytest.mark.parametrize(
    ("op", "feeds", "error", "says"),
    [
        ("LengthsSum", [X, np.int64([6])], DTypeError, "int32"),
        ("LengthsSum", [X.astype(np.float64), np.int32([6])], DTypeError, "float"),
        ("LengthsSum", [X, np.int32([[6]])], ShapeError, "1 dimension"),
        ("LengthsWeightedSum", [X, np.ones(5, np.float32), np.int32([6])], ShapeError, "6 elements"),
        ("SortedSegmentSum", [X, np.int32([0])], ShapeError, "6 elements"),
        ("SparseUnsortedSegmentSum", [X, np.int32([0, 1]), np.int32([0])], ShapeError, "2 elements"),
        ("SparseUnsortedSegmentSum", [X, np.float32([0]), np.int32([0])], DTypeError, "int32"),
        ("ReduceFrontWeightedSum", [X, np.ones(2, np.float32)], ShapeError, "first dimensions"),
    ],
)
def test_refused(op, feeds, error, says):
    with pytest.raises(error, match=says):
        run(op, {f"i{k}": value for k, value in enumerate(feeds)})
