"""Rarer operators element by element, against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant._base.errors import ArgumentError, DTypeError, OperatorError, ServerquantError, ShapeError

F = np.float32


def test_where():
    x, y, c = F([[1, 2], [3, 4]]), F([[5, 6], [7, 8]]), np.array([[True, False], [False, True]])
    assert run("Where", {"C": c, "X": x, "Y": y}).tolist() == [[1, 6], [7, 4]]
    assert run("Where", {"C": c[0], "X": x, "Y": y}, broadcast_on_rows=1).tolist() == [[1, 2], [7, 8]]
    words = [np.array(w, object) for w in (["a", "b"], ["c", "d"])]
    assert run("Where", {"C": c[0], "X": words[0], "Y": words[1]}).tolist() == [b"a", b"d"]
    with pytest.raises(ShapeError, match="the shape of input 1"):
        run("Where", {"C": c[0], "X": x[0], "Y": y})
    with pytest.raises(ShapeError, match=r"shape \(2, 2\)"):
        run("Where", {"C": c[0], "X": x, "Y": y})
    with pytest.raises(DTypeError):
        run("Where", {"C": c, "X": x, "Y": y.astype(np.float64)})


def test_weighted_sums():
    a, b = F([1, 2]), F([10, 20])
    assert run("WeightedSum", {"A": a, "v": F([2]), "B": b, "w": F([0.5])}).tolist() == [7, 14]
    assert run("WeightedSum", {"A": a, "v": F([2]), "B": b, "w": F([0.5])}, ("A",)).tolist() == [7, 14]
    with pytest.raises(ArgumentError, match="pairs of tensors and weights, not 3 inputs"):
        run("WeightedSum", {"A": a, "v": F([2]), "B": b})
    feeds = {"X": F([[1, 1], [2, 2], [3, 3]]), "v": F([2]), "I": np.int32([2, 0, 2])}
    feeds |= {"A": F([[1, 2]] * 3), "w": F([10])}
    assert run("ScatterWeightedSum", feeds, ("X",)).tolist() == [[12, 22], [2, 2], [32, 52]]
    with pytest.raises(ShapeError, match="index 3 at position 1 is out of range"):
        run("ScatterWeightedSum", {**feeds, "I": np.int32([0, 3, 1])}, ("X",))
    with pytest.raises(ArgumentError, match="in place only"):
        run("ScatterWeightedSum", feeds)


def test_glu():
    x = F(np.random.default_rng(0).normal(size=(2, 4, 6)))
    for dim in (1, 2, -1):
        value, gate = np.split(x.astype(np.float64), 2, dim)
        np.testing.assert_allclose(run("Glu", {"X": x}, dim=dim), value / (1 + np.exp(-gate)), rtol=1e-6)
    with pytest.raises(ShapeError, match="an even number"):
        run("Glu", {"X": x[:, :3]}, dim=1)


def test_box_cox():
    x, powers, shift = F([[1, 2, 0.5], [4, 0, -9]]), F([0, 2, 0.5]), F([0.5, 1, 0])
    t = np.maximum(x.astype(np.float64) + shift, 1e-6)
    want = np.stack([np.log(t[:, 0]), (t[:, 1] ** 2 - 1) / 2, (t[:, 2] ** 0.5 - 1) / 0.5], axis=1)
    np.testing.assert_allclose(run("BatchBoxCox", {"X": x, "L": powers, "S": shift}), want, rtol=1e-6)


def test_square_root_divide():
    x = F([[1, 2], [3, 4], [5, 6]])
    for scale in (F([4, 0, 0.25]), np.int64([4, 0, 16])):
        root = np.sqrt(scale)
        root[scale == 0] = 1
        np.testing.assert_allclose(run("SquareRootDivide", {"X": x, "S": scale}), x / root[:, None], rtol=1e-6)
    with pytest.raises(OperatorError, match=r"scale -1\.0 at position 1 is negative"):
        run("SquareRootDivide", {"X": x, "S": F([1, -1, 1])})


def test_piecewise_linear():
    bounds, slopes, intercepts = F([0, 1, 2]), F([2, -1]), F([1, 4])
    x = F([-1, 0, 0.5, 1, 1.5, 2, 9])
    want = F([1, 1, 2, 3, 2.5, 2, 2])
    pieces = {"bounds": bounds.tolist(), "slopes": slopes.tolist(), "intercepts": intercepts.tolist()}
    assert run("PiecewiseLinearTransform", {"X": x[:, None]}, **pieces).ravel().tolist() == want.tolist()
    feeds = {"X": np.stack([x * 0, x], 1), "b": bounds, "s": slopes, "i": intercepts}
    two = run("PiecewiseLinearTransform", feeds, binary=1)
    np.testing.assert_array_equal(two, np.stack([1 - want, want], 1))
    for wrong, error in (
        ({"bounds": [0.0]}, ArgumentError),
        ({**pieces, "bounds": [1.0, 0.0, 2.0]}, ArgumentError),
        ({**pieces, "slopes": [1.0]}, ShapeError),
    ):
        with pytest.raises(error):
            run("PiecewiseLinearTransform", {"X": x[:, None]}, **wrong)
    with pytest.raises(ShapeError, match="a matrix of 1 columns"):
        run("PiecewiseLinearTransform", {"X": feeds["X"]}, **pieces)


def test_stumps_and_classes():
    x = F([[1, 2], [3, 2]])
    assert run("StumpFunc", {"X": x}, threshold=2.0, low_value=-1.0, high_value=5.0).tolist() == [[-1, -1], [5, -1]]
    low, high = run("StumpFuncIndex", {"X": x}, ("L", "H"), threshold=2.0)
    assert (low.tolist(), high.tolist(), low.dtype) == ([0, 1, 3], [2], np.int64)
    assert run("MakeTwoClass", {"X": F([0.25, 1])}).tolist() == [[0.75, 0.25], [0, 1]]


def test_scales():
    x = F([1, 2])
    for iteration, factor in ((1, 0.5), (2, 1), (3, 0.5), (5, 1)):
        feeds = {"W": x, "N": np.int64([iteration])}
        got = run("WeightScale", feeds, stepsize=2, upper_bound_iter=6, scale=0.5)
        assert got.tolist() == (x * F(factor)).tolist()
    a, b = run("ScaleBlobs", {"A": x, "B": F([[3]])}, ("A", "C"), scale=2.0)
    assert (a.tolist(), b.tolist()) == ([2, 4], [[6]])


def test_find_and_members():
    index, query = np.int64([5, 7, 5, 9]), np.int64([[5, 8], [9, 7]])
    assert run("Find", {"I": index, "Q": query}).tolist() == [[2, -1], [3, 1]]
    assert run("Find", {"I": index, "Q": query}, missing_value=-5).tolist() == [[2, -5], [3, 1]]
    assert run("IsMemberOf", {"X": np.int32([1, 2, 3])}, value=[1, 3]).tolist() == [True, False, True]
    words = np.array(["a", "b"], object)
    assert run("IsMemberOf", {"X": words}, value=["b", "c"]).tolist() == [False, True]
    with pytest.raises(DTypeError, match="argument dtype says int64"):
        run("IsMemberOf", {"X": np.int32([1])}, value=[1], dtype=10)


def test_sum_reduce_like():
    a = F(np.arange(24).reshape(2, 3, 4))
    for shape, arguments, axes in (
        ((4,), {}, (0, 1)),
        ((3, 4), {}, 0),
        ((3,), {"axis": 1}, (0, 2)),
        ((2,), {"axis": 0}, (1, 2)),
    ):
        got = run("SumReduceLike", {"A": a, "B": np.zeros(shape, F)}, **arguments)
        np.testing.assert_array_equal(got, a.sum(axis=axes))
    assert run("SumReduceLike", {"A": a, "B": np.zeros((1, 3, 1), F)}).ravel().tolist() == a.sum(axis=(0, 2)).tolist()
    assert run("SumReduceLike", {"A": a, "B": np.zeros((1,), F)}).tolist() == [276]
    with pytest.raises(ServerquantError, match="from axis"):
        run("SumReduceLike", {"A": a, "B": np.zeros((3,), F)})
