"""Features: small examples by hand, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run

from serverquant._base.errors import ArgumentError, DTypeError, NetError, ShapeError
from serverquant.runtime.workspace import Workspace

YES = np.array([True, False, True])
ALL = np.array([True, True, True])
L = np.int32([1, 0, 2])


def merge(kind, feeds, outputs, **args):
    names = [f"y{k}" for k in range(outputs)]
    got = run(f"Merge{kind}FeatureTensors", {f"i{k}": v for k, v in enumerate(feeds)}, names, **args)
    return [g.tolist() for g in got]


def test_single_features():
    ids = {"feature_ids": [11, 22]}
    scalars = [np.float32([1, 2, 3]), YES, np.float32([4, 5, 6]), ALL]
    assert merge("SingleScalar", scalars, 3, **ids) == [[2, 1, 2], [11, 22, 22, 11, 22], [1, 4, 5, 3, 6]]
    words = np.array([b"a", b"b", b"c"], object)
    lists = [L, words, YES, np.int32([0, 1, 1]), words[:2], ALL]
    lengths, keys, sizes, values = merge("SingleList", lists, 4, **ids)
    assert (lengths, keys, sizes) == ([2, 1, 2], [11, 22, 22, 11, 22], [1, 0, 1, 2, 1])
    assert values == [b"a", b"a", b"b", b"c", b"b"]
    maps = [L, np.int64([7, 8, 9]), words, YES]
    assert merge("SingleMap", maps, 5, feature_ids=[5]) == [[1, 0, 1], [5, 5], [1, 2], [7, 8, 9], [b"a", b"b", b"c"]]


def test_multi_features():
    first = [L, np.int64([1, 2, 3])]
    second = [np.int32([0, 1, 0]), np.int64([4])]
    got = merge("MultiScalar", [*first, np.float32([1, 2, 3]), *second, np.float32([4])], 3)
    assert got == [[1, 1, 2], [1, 4, 2, 3], [1, 4, 2, 3]]
    inner = np.int32([2, 0, 1])
    got = merge("MultiList", [*first, inner, np.int32([1, 2, 3]), *second, np.int32([1]), np.int32([9])], 4)
    assert got == [[1, 1, 2], [1, 4, 2, 3], [2, 1, 0, 1], [1, 2, 9, 3]]
    got = merge("MultiMap", [*first, inner, np.int64([5, 6, 7]), np.float32([1, 2, 3])], 5)
    assert got[3:] == [[5, 6, 7], [1, 2, 3]]


def test_dense_features():
    present = np.array([[True, False], [True, True]])
    got = merge("Dense", [np.int32([[1, 2], [3, 4]]), present], 3, feature_ids=[8, 9])
    assert got == [[1, 2], [8, 8, 9], [1, 3, 4]]


def test_id_lists():
    feeds = {"l": L, "v": np.int64([3, 5, 1]), "m": np.int32([1, 1, 1]), "w": np.int64([3, 9, 5])}
    lengths, ids = run("MergeIdLists", feeds, ["L", "V"])
    assert (lengths.tolist(), ids.tolist()) == ([1, 1, 2], [3, 9, 1, 5])


def test_buckets():
    x = np.float32([[-1, 0, 0.5], [1, 7, np.nan]])
    assert run("Bucketize", {"X": x}, boundaries=[0.0, 1.0]).tolist() == [[0, 0, 1], [1, 2, 0]]
    bounds, lengths = np.float32([0, 1, 0.5]), np.int32([2, 1])
    got = run("BatchBucketize", {"X": x, "I": np.int32([1, 2]), "B": bounds, "L": lengths})
    assert got.tolist() == [[0, 0], [2, 1]]


def test_ngrams():
    x = np.float32([[0.5, 9, 2], [-0.5, 9, 1], [7, 9, 1.4]])
    got = run("NGramFromCategorical", {"X": x}, col_ids=[0, 2], categorical_limits=[3, 2], vals=[0, 1, -1, 1, 2])
    assert got.tolist() == [1 + 3, 2, 0]  # halves away from zero: 1 and -1


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_sparse_normalize(dtype):
    op = "SparseNormalize" if dtype == np.float32 else "Float16SparseNormalize"
    x = np.array([[3, 4], [0.3, 0.4], [6, 8]], dtype)
    space = Workspace()
    bind(space, op, {"X": x, "I": np.int64([0, 1, 0])}, ["X"], norm=2.0).run()
    np.testing.assert_allclose(space.fetch("X"), [[1.2, 1.6], [0.3, 0.4], [6, 8]], rtol=1e-3)
    np.testing.assert_allclose(run(op, {"X": x, "I": np.int32([1])}, use_max_norm=0)[1], [0.6, 0.8], rtol=1e-3)
    assert x[0, 0] == 3


F = np.float32([1, 2, 3])


@pytest.mark.parametrize(
    ("op", "feeds", "outputs", "args", "error", "says"),
    [
        ("MergeSingleScalarFeatureTensors", [F, YES], 3, {}, ArgumentError, "0 ids for 1 features"),
        ("MergeSingleScalarFeatureTensors", [F, YES[:2]], 3, {"feature_ids": [1]}, ShapeError, "not of 3 examples"),
        ("MergeSingleScalarFeatureTensors", [F, F], 3, {"feature_ids": [1]}, DTypeError, "bool"),
        ("MergeSingleScalarFeatureTensors", [F, YES, F], 3, {"feature_ids": [1]}, NetError, "a multiple of 2 inputs"),
        ("MergeSingleListFeatureTensors", [L, F[:2], YES], 4, {"feature_ids": [1]}, ShapeError, "only 2 rows"),
        ("MergeMultiScalarFeatureTensors", [L, np.int64([1]), F], 3, {}, ShapeError, "add up to 3, but there are 1"),
        ("MergeMultiScalarFeatureTensors", [L, np.int64([1, 2, 3]), F[:2]], 3, {}, ShapeError, "2 values for 3 keys"),
        ("MergeDenseFeatureTensors", [F[None], YES[None]], 3, {}, ArgumentError, "0 ids for 3 features"),
        ("MergeDenseFeatureTensors", [F[None], YES], 3, {}, ShapeError, "the shape of i0"),
        ("MergeIdLists", [L, np.int32([1, 2])], 2, {}, ShapeError, "add up to 3, but there are 2"),
        ("MergeIdLists", [L, F], 2, {}, DTypeError, "int32"),
        ("Bucketize", [F], 1, {"boundaries": [1.0, 0.0]}, ArgumentError, "must not decrease"),
        ("BatchBucketize", [F[None], np.int32([3]), F, np.int32([3])], 1, {}, ShapeError, "index 3 at position 0"),
        ("BatchBucketize", [F[None], np.int32([0]), F, np.int32([2])], 1, {}, ShapeError, "add up to 2"),
        ("NGramFromCategorical", [F], 1, {"col_ids": [-1]}, ArgumentError, "none of them negative"),
        ("NGramFromCategorical", [F], 1, {"col_ids": [0], "categorical_limits": [2]}, ArgumentError, "add up"),
        (
            "NGramFromCategorical",
            [F],
            1,
            {"col_ids": [1], "categorical_limits": [1], "vals": [1]},
            ShapeError,
            "features have 1 columns",
        ),
        ("SparseNormalize", [F[None], np.int32([1])], 1, {}, ShapeError, "index 1 at position 0"),
        ("SparseNormalize", [F[None], np.int32([0])], 1, {"norm": -1.0}, ArgumentError, "norm is -1"),
    ],
)
def test_refused(op, feeds, outputs, args, error, says):
    with pytest.raises(error, match=says):
        run(op, {f"i{k}": v for k, v in enumerate(feeds)}, [f"y{k}" for k in range(outputs)], **args)
