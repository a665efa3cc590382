"""Histograms, quantiles and percentiles against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import ArgumentError, DTypeError, ShapeError


def run(op_type, inputs, n_out=1, **kwargs):
    workspace.ResetWorkspace()
    names = [f"x{i}" for i in range(len(inputs))]
    for name, value in zip(names, inputs):
        workspace.FeedBlob(name, value)
    outputs = [f"y{i}" for i in range(n_out)]
    workspace.RunOperatorOnce(core.CreateOperator(op_type, names, outputs, **kwargs))
    found = [workspace.FetchBlob(name) for name in outputs]
    return found if n_out > 1 else found[0]


def test_histogram_counts_from_each_edge_to_below_the_next():
    x = np.array([-2.0, -2.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, np.nan])
    assert run("Histogram", [x, x[:2]], bin_edges=[-2.0, -1.0, 0.0, 2.0, 5.0, 9.0]).tolist() == [4, 0, 4, 3, 1]
    with pytest.raises(ArgumentError, match="strictly increasing"):
        run("Histogram", [x], bin_edges=[1.0, 1.0])
    with pytest.raises(ArgumentError, match="greater than or equal to 2"):
        run("Histogram", [x], bin_edges=[1.0])
    with pytest.raises(DTypeError):
        run("Histogram", [np.int32([1, 2])], bin_edges=[1.0, 2.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spacing", ["linear", "logarithmic"])
@pytest.mark.parametrize("absolute", [False, True])
def test_self_binning_holds_all_elements(dtype, spacing, absolute):
    x = np.random.default_rng(1).normal(size=(50, 7)).astype(dtype)
    edges, counts = run("SelfBinningHistogram", [x, x], 2, num_bins=9, bin_spacing=spacing, abs=absolute)
    assert edges.dtype == dtype
    assert (np.diff(edges) > 0).all()
    seen = np.abs(x) if absolute else x
    assert edges[-1] > seen.max()
    want = 2 * np.histogram(np.maximum(seen, edges[0]), edges)[0]
    assert counts.tolist() == [*want, 0]


def test_self_binning_corners():
    edges, counts = run("SelfBinningHistogram", [np.float32([3, 3])], 2, num_bins=2)
    assert (edges.tolist(), counts.tolist()) == ([3, 3, 3], [2, 0, 0])
    edges, counts = run("SelfBinningHistogram", [np.zeros(0, np.float32)], 2, num_bins=2)
    assert (edges.tolist(), counts.tolist()) == ([0, 0, 0], [0, 0, 0])
    with pytest.raises(ArgumentError, match="Number of bins"):
        run("SelfBinningHistogram", [np.float32([1])], 2)
    with pytest.raises(ArgumentError, match="linear or logarithmic"):
        run("SelfBinningHistogram", [np.float32([1])], 2, num_bins=1, bin_spacing="cubic")
    with pytest.raises(DTypeError, match="expected the type of"):
        run("SelfBinningHistogram", [np.float32([1]), np.float64([1])], 2, num_bins=1)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("absolute", [0, 1])
def test_quantile(share, absolute):
    x = np.random.default_rng(2).normal(size=300).astype(np.float32)
    found = run("Quantile", [x[:100], x[100:]], quantile=share, abs=absolute, tol=1e-4)[0]
    seen = np.abs(x) if absolute else x
    wanted = np.ceil(seen.size * share)
    assert (seen <= found).sum() >= wanted
    assert (seen <= found - 3e-4 * abs(found)).sum() <= wanted


def test_quantile_of_nothing():
    with pytest.raises(ShapeError, match="no elements"):
        run("Quantile", [np.zeros(0, np.float32)], quantile=0.5)
    with pytest.raises(ArgumentError, match="quantile is -1"):
        run("Quantile", [np.float32([1])])


def test_percentiles():
    table = np.float32([[1, 0.1], [2, 0.5], [4, 0.9]])
    x = np.float32([[0], [1], [1.5], [2], [3], [4], [5]])
    assert run("Percentile", [x, table, np.int32([3])]).reshape(-1) == pytest.approx([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
    by = {
        "percentile_raw": [1.0, 2.0, 4.0],
        "percentile_mapping": [0.1, 0.5, 0.9],
        "percentile_lower": [0.05, 0.4, 0.8],
        "percentile_upper": [0.2, 0.6, 1.0],
    }
    assert run("BisectPercentile", [x], lengths=[3], **by).reshape(-1) == pytest.approx([0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
    with pytest.raises(ShapeError, match="do not add up to 3 rows"):
        run("Percentile", [x, table, np.int32([2])])
    with pytest.raises(ArgumentError, match="do not add up to 3 values"):
        run("BisectPercentile", [x], lengths=[2], **by)
