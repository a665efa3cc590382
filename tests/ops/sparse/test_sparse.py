"""Sparse and dense forms, one-hot codes, unique elements."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, check_rebatching, run

from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError
from serverquant.runtime.workspace import Workspace


def f32(*values) -> np.ndarray:
    return np.array(values, np.float32)


def i32(*values) -> np.ndarray:
    return np.array(values, np.int32)


def i64(*values) -> np.ndarray:
    return np.array(values, np.int64)


def test_sparse_to_dense_adds_up():
    x, values = i64(2, 0, 2), f32([1, 2], [3, 4], [5, 6])
    assert run("SparseToDense", {"I": x, "V": values}).tolist() == [[3, 4], [0, 0], [6, 8]]
    assert run("SparseToDense", {"I": x, "V": values}, output_first_dim=4).shape == (4, 2)
    assert run("SparseToDense", {"I": x, "V": values, "D": np.zeros((5, 1))}).shape == (5, 2)
    assert run("SparseToDense", {"I": i64(), "V": f32()}).shape == (0,)


def test_sparse_to_dense_mask():
    feeds = {"I": i64(9, 1, 9, 5), "V": f32(1, 2, 3, 4), "D": np.float32(-1), "L": i32(3, 0, 1)}
    y, present = run("SparseToDenseMask", feeds, ("Y", "P"), mask=[1, 9, 1 << 30], return_presence_mask=1)
    assert y.tolist() == [[2, 3, -1], [-1, -1, -1], [-1, -1, -1]]
    assert present.tolist() == [[True, True, False], [False] * 3, [False] * 3]
    del feeds["L"]
    assert run("SparseToDenseMask", feeds, mask=[5, 7]).tolist() == [4, -1]


def test_skipped_rows_are_counted_over_runs():
    space = Workspace()
    feeds = {"I": i64(-1, 2), "V": f32(1, 2), "D": np.float32(0)}
    net = bind(space, "SparseToDenseMask", feeds, mask=[2], max_skipped_indices=2)
    net.run()
    assert space.fetch("Y").tolist() == [2]
    with pytest.raises(ShapeError, match="2 rows"):
        net.run()


def test_batch_sparse_to_dense_and_back():
    feeds = {"L": i64(2, 0, 1), "I": i64(0, 2, 1), "V": f32(5, 6, 7)}
    dense = run("BatchSparseToDense", feeds, dense_last_dim=3, default_value=-1.0)
    assert dense.tolist() == [[5, -1, 6], [-1] * 3, [-1, 7, -1]]
    np.testing.assert_array_equal(run("BatchSparseToDense", {**feeds, "D": dense}, default_value=-1.0), dense)
    again = run("BatchDenseToSparse", {"L": feeds["L"], "I": feeds["I"], "D": dense})
    np.testing.assert_array_equal(again, feeds["V"])


def test_id_list():
    lengths, values = run("DenseVectorToIdList", {"X": f32([0.4, 0.6, -1.6], [0, 0, 0.5])}, ("L", "V"))
    assert lengths.tolist() == [2, 1]
    assert values.tolist() == [1, 2, 2]


def test_unique_and_places():
    y, places = run("Unique", {"X": i64(5, 2, 5, 3)}, ("Y", "P"))
    assert y.tolist() == [2, 3, 5]
    assert places.dtype == np.int32
    np.testing.assert_array_equal(y[places], [5, 2, 5, 3])
    assert run("FindDuplicateElements", {"X": f32(1, np.nan, 1, np.nan, 0, -0.0)}).tolist() == [2, 5]
    assert run("FindDuplicateElements", {"X": np.array(["a", "b", "a"], object)}).tolist() == [2]


def test_one_hot():
    check_rebatching("OneHot", lambda n: {"I": np.arange(n), "N": np.array(6)}, (3, 5, 1))
    np.testing.assert_array_equal(run("OneHot", {"I": i64(2, 0), "N": i64(3)}), np.eye(3, dtype=np.float32)[[2, 0]])
    codes = run("SegmentOneHot", {"L": i32(2, 0, 1), "I": i64(0, 2, 1), "N": i64(3)})
    assert codes.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_batch_one_hot():
    data = i64([2, 3], [4, 1], [2, 5])
    codes = run("BatchOneHot", {"X": data, "L": i32(2, 3), "V": i64(2, 4, 1, 3, 5)})
    assert codes.tolist() == [[1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]
    data = f32([2, 3], [4, 1], [2, 5])
    codes = run("BatchBucketOneHot", {"X": data, "L": i32(2, 3), "B": f32(0.1, 2.5, 1, 3.1, 4.5)})
    assert codes.tolist() == [[0, 1, 0, 0, 1, 0, 0], [0, 0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0, 1]]
    codes = run("BatchBucketOneHot", {"X": f32([0], [-1], [np.nan]), "L": i32(3), "B": f32(0, 0, 5)})
    assert codes.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("op", "feeds", "args", "error", "words"),
    [
        ("SparseToDense", {"I": i64(-1), "V": f32(1)}, {"output_first_dim": 2}, ShapeError, "index -1"),
        ("SparseToDense", {"I": i64(1 << 40), "V": f32(1)}, {}, ShapeError, "1099511627776"),
        ("SparseToDense", {"I": i64(1, 2), "V": f32(1)}, {}, ShapeError, "one value for each"),
        ("SparseToDense", {"I": i64(1), "V": np.array([True])}, {}, DTypeError, "float"),
        ("SparseToDenseMask", {"I": i64(1), "V": f32(1), "D": np.float32(0)}, {"mask": []}, ArgumentError, "empty"),
        (
            "SparseToDenseMask",
            {"I": i64(1), "V": f32(1), "D": np.float32(0)},
            {"mask": [1, 1]},
            ArgumentError,
            "differ",
        ),
        ("SparseToDenseMask", {"I": i64(1), "V": f32(1), "D": f32(0)}, {"mask": [1]}, ShapeError, "one value"),
        ("BatchSparseToDense", {"L": i64(1), "I": i64(3), "V": f32(1)}, {"dense_last_dim": 3}, ShapeError, "column 3"),
        (
            "BatchSparseToDense",
            {"L": i64(2), "I": i64(1), "V": f32(1)},
            {"dense_last_dim": 3},
            ShapeError,
            "add up to 2",
        ),
        ("BatchSparseToDense", {"L": i64(1), "I": i64(1), "V": f32(1)}, {}, ShapeError, "dense_last_dim is -1"),
        ("DenseVectorToIdList", {"X": f32(1)}, {}, ServerquantError, "2 dimensions"),
        ("OneHot", {"I": i64(3), "N": i64(3)}, {}, ServerquantError, "index 3 at position 0"),
        ("OneHot", {"I": i64(0), "N": i64(1, 2)}, {}, ShapeError, "one element"),
        ("SegmentOneHot", {"L": i32(1), "I": i64(0), "N": i64(0)}, {}, ShapeError, "at least 1"),
        ("BatchOneHot", {"X": i64([1, 2]), "L": i32(1), "V": i64(1)}, {}, ShapeError, "each column"),
        ("BatchBucketOneHot", {"X": f32([1]), "L": i32(0), "B": f32()}, {}, ShapeError, "at least one boundary"),
        ("Unique", {"X": i64([1])}, {}, ShapeError, "vector"),
    ],
)
def test_refused(op, feeds, args, error, words):
    outputs = ("Y", "Z") if op == "DenseVectorToIdList" else ("Y",)
    with pytest.raises(error, match=words):
        run(op, feeds, outputs, **args)
