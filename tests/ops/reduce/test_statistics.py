"""Histograms, quantiles and the k largest of rows, against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.runtime.workspace import Workspace

F = np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_histogram(dtype):
    x, y = np.array([[-1, 0, 0.5], [1, 1.5, 2]], dtype), np.array([2.5, 0.25], dtype)
    assert run("Histogram", {"X": x, "Z": y}, bin_edges=[0.0, 1.0, 2.0]).tolist() == [3, 2]
    for edges, says in (([1.0], "greater than or equal to 2"), ([0.0, 0.0], "increasing"), ([1.0, 0.0], "increasing")):
        with pytest.raises(ArgumentError, match=says):
            run("Histogram", {"X": x}, bin_edges=edges)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_self_binning_histogram(dtype):
    x, y = np.array([0, 1, 2, 3, 4], dtype), np.array([-4, 2], dtype)
    outputs = ("E", "C")
    edges, counts = run("SelfBinningHistogram", {"X": x}, outputs, num_bins=4)
    np.testing.assert_allclose(edges, np.linspace(0, 4.0004, 5), rtol=1e-6)
    assert counts.tolist() == [2, 1, 1, 1, 0]
    edges, counts = run("SelfBinningHistogram", {"X": x, "Z": y}, outputs, num_bins=2, abs=1)
    assert (edges[0], counts.tolist()) == (0, [4, 3, 0])
    edges, counts = run(
        "SelfBinningHistogram", {"X": x}, outputs, num_bins=2, bin_spacing="logarithmic", logspace_start=0.25
    )
    np.testing.assert_allclose(edges, [0.25, 1.00005, 4.000375], rtol=1e-4)
    assert counts.tolist() == [2, 3, 0]
    edges, counts = run("SelfBinningHistogram", {"X": x[:1] + 3}, outputs, num_bins=3)
    assert (edges.tolist(), counts.tolist()) == ([3] * 4, [1, 0, 0, 0])
    edges, counts = run("SelfBinningHistogram", {"X": x[:0]}, outputs, num_bins=2)
    assert (edges.tolist(), counts.tolist()) == ([0] * 3, [0] * 3)
    for wrong in ({"num_bins": 0}, {"num_bins": 1, "bin_spacing": "odd"}, {"num_bins": 1, "logspace_start": 0.0}):
        with pytest.raises(ArgumentError):
            run("SelfBinningHistogram", {"X": x}, outputs, **wrong)


def test_accumulated_histogram():
    space = Workspace()
    net = bind(space, "AccumulateHistogram", {"X": F([-1, 0, 0.5, 1, 3])}, ("C", "A"), num_buckets=2, upper_bound=2.0)
    net.run()
    assert (space.fetch("C").tolist(), space.fetch("A").tolist()) == ([1, 2, 1, 1], [1, 2, 1, 1])
    space.create("X").feed(F([5]))
    net.run()
    assert (space.fetch("C").tolist(), space.fetch("A").tolist()) == ([0, 0, 0, 1], [1, 2, 1, 2])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("absolute", [0, 1])
def test_quantile(share, absolute):
    rng = np.random.default_rng(1)
    a, b = F(rng.normal(size=(7, 9))), F(rng.normal(size=20))
    (got,) = run("Quantile", {"A": a, "B": b}, quantile=share, abs=absolute, tol=1e-4)
    x = np.sort(np.concatenate([a.ravel(), b]))
    x = np.sort(np.abs(x)) if absolute else x
    wanted = int(np.ceil(F(x.size) * F(share)))
    near = 2e-4 * np.abs(x).max()
    assert np.count_nonzero(x <= got + near) >= max(wanted, 1)
    assert np.count_nonzero(x <= got - near) <= wanted


def test_bad_quantiles():
    for wrong in ({}, {"quantile": 1.5}, {"quantile": 0.5, "tol": 0.0}):
        with pytest.raises(ArgumentError):
            run("Quantile", {"X": F([1, 2])}, **wrong)
    with pytest.raises(ShapeError, match="no elements"):
        run("Quantile", {"X": F([])}, quantile=0.5)


def test_percentiles():
    table = F([[1, 0.1], [3, 0.5], [0, 0], [2, 0.5], [4, 1]])
    x = F([[2, 1], [0, 4], [1, 5], [9, 3]])
    got = run("Percentile", {"X": x, "T": table, "L": np.int32([2, 3])})
    np.testing.assert_allclose(got, [[0.3, 0.25], [0, 1], [0.1, 1], [1, 0.75]], rtol=1e-6)
    with pytest.raises(ShapeError, match="add up to 5"):
        run("Percentile", {"X": x, "T": table, "L": np.int32([2, 2])})


def test_bisected_percentiles():
    tables = {
        "percentile_raw": [1.0, 3.0, 0.0],
        "percentile_mapping": [0.25, 0.5, 0.75],
        "percentile_lower": [0.0, 0.4, 0.7],
        "percentile_upper": [0.3, 0.6, 0.8],
    }
    x = F([[0, 0], [1, -1], [2, 1], [3, 0], [4, 0]])
    got = run("BisectPercentile", {"X": x}, **tables, lengths=[2, 1])
    np.testing.assert_allclose(got, [[0, 0.75], [0.25, 0], [0.35, 1], [0.5, 0.75], [1, 0.75]], rtol=1e-6)
    with pytest.raises(ArgumentError, match="as many numbers as lengths"):
        run("BisectPercentile", {"X": x}, **tables, lengths=[2, 2])
    with pytest.raises(ShapeError, match="a matrix of 2 columns"):
        run("BisectPercentile", {"X": x[:, :1]}, **tables, lengths=[2, 1])


def test_flexible_top_k():
    x = F([[[3, 1, 3], [2, 5, 4]]])
    values, places = run("FlexibleTopK", {"X": x, "K": np.int64([[2, 3]])}, ("V", "I"))
    assert (values.tolist(), places.tolist()) == ([3, 3, 5, 4, 2], [0, 2, 1, 2, 0])
    with pytest.raises(ShapeError, match="k 4 at position 1 is out of range: rows have 3 elements"):
        run("FlexibleTopK", {"X": x, "K": np.int64([[1, 4]])}, ("V", "I"))
    with pytest.raises(ShapeError, match="one k for each of the 2 rows"):
        run("FlexibleTopK", {"X": x, "K": np.int64([1])}, ("V", "I"))
