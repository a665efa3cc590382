"""Placed, moved and collected slices."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, check_rebatching, run

from serverquant._base.errors import ArgumentError, ServerquantError, ShapeError
from serverquant.blobs.store import Int8
from serverquant.runtime.workspace import Workspace


def numbers(*dims: int) -> np.ndarray:
    return np.arange(np.prod(dims, dtype=int)).reshape(dims).astype(np.float32)


def in_place(op: str, feeds: dict, **args) -> np.ndarray:
    return run(op, feeds, ("X",), **args)


def test_batch_permutation():
    check_rebatching("BatchPermutation", lambda n: {"X": numbers(n, 3), "I": np.arange(n, dtype=np.int32)[::-1].copy()})
    x = numbers(3, 2)
    np.testing.assert_array_equal(run("BatchPermutation", {"X": x, "I": np.int32([2, 0, 0])}), x[[2, 0, 0]])


def test_scatter():
    x, indices, updates = numbers(2, 4), np.array([[3, 1, 3], [0, 0, 2]]), -numbers(2, 3) - 1
    want = x.copy()
    np.put_along_axis(want, indices, updates, 1)
    np.testing.assert_array_equal(run("Scatter", {"X": x, "I": indices, "U": updates}), want)
    assert want[0, 3] == -3


def test_scatter_assign():
    y = in_place("ScatterAssign", {"X": numbers(4, 2), "I": np.int32([2, 0]), "U": np.float32([[9, 8], [7, 6]])})
    assert y.tolist() == [[7, 6], [2, 3], [9, 8], [6, 7]]


def test_copy_rows():
    y = in_place("CopyRowsToTensor", {"X": numbers(3, 2), "I": np.array([0, 2]), "R": np.float32([9, 8])})
    assert y.tolist() == [[9, 8], [2, 3], [9, 8]]


def test_ranges():
    data, ranges = np.arange(6), np.array([[[0, 1], [2, 2]], [[5, 1], [9, 0]]])
    y, lengths = run("GatherRanges", {"X": data, "R": ranges}, ("Y", "L"))
    assert y.tolist() == [0, 2, 3, 5]
    assert lengths.tolist() == [3, 1]


def test_ranges_to_dense():
    data, ranges = np.arange(6), np.array([[[0, 1], [2, 2]], [[5, 1], [9, 0]]])
    y, z = run("GatherRangesToDense", {"X": data, "R": ranges}, ("Y", "Z"), lengths=[1, 2])
    assert y.tolist() == [[0], [5]]
    assert z.tolist() == [[2, 3], [0, 0]]
    keys = np.array([0, 0, 7, 1, 0, 0])
    z = run("GatherRangesToDense", {"X": data, "R": ranges[:, 1:], "K": keys}, lengths=[2])
    assert z.tolist() == [[3, 2], [0, 0]]


def test_mismatches_are_counted_over_runs():
    space = Workspace()
    feeds = {"X": np.arange(6), "R": np.array([[[0, 2]], [[0, 1]]])}
    net = bind(space, "GatherRangesToDense", feeds, lengths=[2], min_observation=3, max_mismatched_ratio=0.4)
    net.run()
    with pytest.raises(ShapeError, match="2 of 4 ranges of output 0 had another length"):
        net.run()


def test_reverse():
    x = numbers(3, 2, 2)
    y = run("ReversePackedSegs", {"X": x, "L": np.int32([3, 2])})
    np.testing.assert_array_equal(y[:, 0], x[::-1, 0])
    np.testing.assert_array_equal(y[:, 1], x[[1, 0, 2], 1])


@pytest.mark.parametrize(
    ("op", "feeds", "error", "words"),
    [
        ("BatchPermutation", {"X": numbers(2), "I": np.int32([0])}, ShapeError, "one index for each"),
        ("BatchPermutation", {"X": numbers(2), "I": np.int32([0, 2])}, ServerquantError, "index 2"),
        ("Scatter", {"X": numbers(1, 2), "I": np.array([[2]]), "U": numbers(1, 1)}, ShapeError, "index 2"),
        ("Scatter", {"X": numbers(1, 2), "I": np.array([2]), "U": numbers(1)}, ShapeError, "axis 1 aside"),
        ("GatherRanges", {"X": numbers(3), "R": np.array([[[2, 2]]])}, ShapeError, "takes 2 elements from 2 of 3"),
        ("GatherRanges", {"X": numbers(3), "R": np.array([[[-1, 2]]])}, ShapeError, "from -1"),
        ("GatherRanges", {"X": numbers(3), "R": np.array([[2, 2]])}, ShapeError, "batch, ranges, 2"),
        ("ReversePackedSegs", {"X": numbers(2, 1, 1), "L": np.int32([3])}, ShapeError, "length 3"),
    ],
)
def test_refused(op, feeds, error, words):
    outputs = ("Y", "L") if op == "GatherRanges" else ("Y",)
    with pytest.raises(error, match=words):
        run(op, feeds, outputs)


def test_refused_in_place():
    feeds = {"X": numbers(3), "I": np.array([3]), "U": numbers(1)}
    with pytest.raises(ShapeError, match="index 3 at position 0"):
        in_place("ScatterAssign", feeds)
    with pytest.raises(ArgumentError, match="in place"):
        run("ScatterAssign", feeds)
    with pytest.raises(ShapeError, match="slices of input 0"):
        in_place("ScatterAssign", {**feeds, "U": numbers(2)})
    with pytest.raises(ShapeError, match="width of input tensor"):
        in_place("CopyRowsToTensor", {"X": numbers(3, 2), "I": np.array([0]), "R": numbers(3)})


def test_batch_permutation_of_int8():
    x = Int8(np.arange(12, dtype=np.uint8).reshape(3, 4), np.float32(0.3), 7)
    got = run("BatchPermutation", {"X": x, "i": np.int32([2, 0, 1])}, engine="DNNLOWP")
    np.testing.assert_array_equal(got.data, x.data[[2, 0, 1]])
    assert got[1:] == x[1:]
