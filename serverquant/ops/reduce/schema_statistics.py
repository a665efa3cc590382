"""Schemas of histograms, quantiles and the k largest of rows with a k each."""

from __future__ import annotations

import math
from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg

Dims = tuple[int, ...]


def percentile_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "a matrix")
    if ins[1].ndim != 2 or ins[1].dims[1] != 2:
        raise op.shape_error(ins, 1, "a matrix of two columns: values and their percentiles")
    if ins[2].size != ins[0].dims[1]:
        raise op.shape_error(ins, 2, f"one length for each of the {ins[0].dims[1]} columns of input 0")
    return [ins[0].dims]


def bisect_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2 or ins[0].dims[1] != len(op.args.lengths):
        raise op.shape_error(ins, 0, f"a matrix of {len(op.args.lengths)} columns, as many as argument lengths has")
    return [ins[0].dims]


def flexible_shape(op: Any, ins: list[Spec]) -> None:
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "at least one dimension")
    if ins[1].size != math.prod(ins[0].dims[:-1]):
        raise op.shape_error(ins, 1, f"one k for each of the {math.prod(ins[0].dims[:-1])} rows of input 0")


def histogram_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    edges = op.args.bin_edges
    return [(len(edges) - 1,)]


MANY_X = ("X_0, X_1, ...: tensors of one type, float or double",)

declare(
    "Histogram",
    inputs=(1, MANY),
    args=[Arg("bin_edges", "floats", [], "borders of the bins; each bin has its lower one")],
    shape=histogram_shape,
    doc="How many elements of all inputs fall into each bin.",
    in_doc=MANY_X,
    out_doc=("histogram: int64, one less than borders",),
)
declare(
    "SelfBinningHistogram",
    inputs=(1, MANY),
    outputs=2,
    args=[
        Arg("num_bins", "int", 0, "how many bins"),
        Arg("bin_spacing", "string", "linear", "linear or logarithmic"),
        Arg("logspace_start", "float", 1e-24, "the lowest border of logarithmic bins"),
        Arg("abs", "bool", False, "of the absolute values"),
    ],
    shape=lambda op, ins: [(op.args.num_bins + 1,)] * 2,
    doc="Bins between the least and the largest element, and how many elements of all inputs fall into each. The last "
    "border is a little above the largest element, so that the last count is 0.",
    in_doc=MANY_X,
    out_doc=("histogram_values: borders", "histogram_counts: int64"),
)
declare(
    "AccumulateHistogram",
    inputs=1,
    outputs=2,
    args=[
        Arg("lower_bound", "float", 0.0, "where bins begin"),
        Arg("upper_bound", "float", 1.0, "where they end"),
        Arg("num_buckets", "int", 1, "how many; one more on either side takes what is outside"),
    ],
    shape=lambda op, ins: [(op.args.num_buckets + 2,)] * 2,
    effects=True,
    doc="How many elements fall into each bin, in this run and in all runs.",
    in_doc=("X: float tensor",),
    out_doc=("CurHist: int64", "AccHist: int64"),
)
declare(
    "Quantile",
    inputs=(1, MANY),
    args=[
        Arg("quantile", "float", -1.0, "between 0 and 1"),
        Arg("abs", "bool", True, "of the absolute values"),
        Arg("tol", "float", 1e-3, "how near, relatively, the search comes"),
    ],
    shape=lambda op, ins: [(1,)],
    doc="A value that as large a share of all elements does not exceed, found by halving.",
    in_doc=MANY_X,
    out_doc=("quantile_value: (1)",),
)
declare(
    "Percentile",
    inputs=3,
    shape=percentile_shape,
    doc="The percentile of each value, by linear interpolation in its column's table; 0 below its values, 1 above.",
    in_doc=("original_values: float (N, F)", "value_to_pct: float (P, 2), tables", "lengths: int32 (F), their rows"),
    out_doc=("percentile_values: (N, F)",),
)
declare(
    "BisectPercentile",
    inputs=1,
    args=[
        Arg("percentile_raw", "floats", [], "values of all tables, in rising order"),
        Arg("percentile_mapping", "floats", [], "percentiles of these values"),
        Arg("percentile_lower", "floats", [], "percentiles just below them"),
        Arg("percentile_upper", "floats", [], "percentiles just above them"),
        Arg("lengths", "ints", [], "rows of each table"),
    ],
    shape=bisect_shape,
    doc="The percentile of each value, from a table for each column: of a value in the table its own, between two the "
    "interpolation from the upper percentile of one to the lower one of the next, else 0 or 1.",
    in_doc=("raw_values: float (N, F)",),
    out_doc=("percentile: (N, F)",),
)
declare(
    "FlexibleTopK",
    inputs=2,
    outputs=2,
    shape=flexible_shape,
    doc="The k largest elements of each row, with a k for each, in falling order, one row behind the other.",
    in_doc=("X: float (..., n)", "K: int64, one for each row"),
    out_doc=("Flatten values: float", "Flatten indices: int64, places in the rows"),
)
