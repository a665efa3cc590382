"""Histograms, quantiles and the k largest of rows: numpy bodies."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.kernels.reduce import _reduce
from serverquant.ops._numeric import exp, log
from serverquant.ops._types import REALS, expect_alike
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class OfAllElements(PythonOperator):
    """Takes floats or doubles, any number of tensors."""

    def check_types(self, ins: list[Spec]) -> None:
        expect_alike(self, ins, *REALS)


def counted(places: np.ndarray, bins: int) -> np.ndarray:
    """How often each of the bins is named; what is outside does not count."""
    return np.bincount(places[(places >= 0) & (places < bins)], minlength=bins)


@register("Histogram")
class Histogram(OfAllElements):
    """Counts between given borders."""

    def setup(self) -> None:
        # Caffe2's words, by which callers tell the cases apart.
        edges = self.args.bin_edges
        if len(edges) < 2:
            raise ArgumentError(
                f"Number of bin edges must be greater than or equal to 2: argument bin_edges has {len(edges)}"
            )
        if any(b <= a for a, b in pairwise(edges)):
            raise ArgumentError(f"bin_edges must be a strictly increasing sequence of values, not {list(edges)}")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        edges = np.float32(self.args.bin_edges)
        places = [np.searchsorted(edges, x.ravel(), side="right") - 1 for x in inputs]
        outputs[0][...] = counted(np.concatenate(places), edges.size - 1)


@register("SelfBinningHistogram")
class SelfBinningHistogram(OfAllElements):
    """Counts between borders of its own."""

    def setup(self) -> None:
        if self.args.num_bins < 1:
            raise ArgumentError(
                f"Number of bins must be greater than or equal to 1. Argument num_bins is {self.args.num_bins}"
            )
        if self.args.bin_spacing not in ("linear", "logarithmic"):
            raise ArgumentError(f"argument bin_spacing must be linear or logarithmic, not {self.args.bin_spacing!r}")
        if not self.args.logspace_start > 0:
            raise ArgumentError(f"argument logspace_start is {self.args.logspace_start}, but must be more than 0")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return super().output_type(ins, i) if i == 0 else (dtypes.INT64, TENSOR)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = np.concatenate([v.ravel() for v in inputs])
        x = np.abs(x) if self.args.abs else x
        edges, counts = outputs
        edges[...], counts[...] = 0, 0
        if not x.size:
            return
        low, high = x.min(), x.max()
        last = self.borders(edges, low, high)
        if edges[-1] <= (high if self.args.bin_spacing == "linear" else max(high, edges.dtype.type(self.start))):
            edges[-1], counts[0] = last, x.size
            return
        places = np.searchsorted(edges, x, side="right")
        counts[:-1] = counted(np.maximum(places, 1) - 1, edges.size - 1)

    @property
    def start(self) -> np.float32:
        return np.float32(self.args.logspace_start)

    def borders(self, edges: np.ndarray, low: Any, high: Any) -> Any:
        """Fill in the borders; a number a little above the highest."""
        real = edges.dtype.type
        stretch = real(1.0001)
        ratio = np.arange(edges.size).astype(real) / real(self.args.num_bins)
        if self.args.bin_spacing == "linear":
            last = low + (high - low) * stretch
            edges[...] = low + ratio * (last - low)
            return last
        low, high = max(low, real(self.start)), max(high, real(self.start))
        last = low + (high - low) * stretch
        if real is np.float32:
            edges[...] = low * exp((log(last) - log(low)) * ratio)
        else:  # one by one: the machine's library, not numpy's vector code
            span = math.log(last) - math.log(low)
            edges[...] = [low * math.exp(span * float(r)) for r in ratio]
        return last


@register("AccumulateHistogram")
class AccumulateHistogram(PythonOperator):
    """Counts of this run and of all."""

    takes = "float"

    def setup(self) -> None:
        if self.args.num_buckets < 1:
            raise ArgumentError(f"argument num_buckets is {self.args.num_buckets}, but must be at least 1")
        self.total = np.zeros(self.args.num_buckets + 2, np.int64)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0].ravel()
        low, high = np.float32(self.args.lower_bound), np.float32(self.args.upper_bound)
        width = (high - low) / np.float32(self.args.num_buckets)
        inside = (x >= low) & (x < high)
        places = np.where(x < low, 0, self.args.num_buckets + 1)
        places[inside] = ((x[inside] - low) / width).astype(np.int64) + 1
        outputs[0][...] = counted(places, self.total.size)
        self.total += outputs[0]
        outputs[1][...] = self.total


@register("Quantile")
class Quantile(OfAllElements):
    """A value that as large a share does not exceed."""

    def setup(self) -> None:
        if not 0 <= self.args.quantile <= 1:
            raise ArgumentError(f"argument quantile is {self.args.quantile}, but must be between 0 and 1")
        if not self.args.tol > 0:
            raise ArgumentError(f"argument tol is {self.args.tol}, but must be more than 0")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = np.concatenate([v.ravel() for v in inputs])
        if not x.size:
            raise ShapeError("the inputs have no elements")
        x = np.sort(np.abs(x) if self.args.abs else x)
        outputs[0][0] = self.search(x, math.ceil(np.float32(x.size) * np.float32(self.args.quantile)))

    def search(self, x: np.ndarray, wanted: int) -> Any:
        """Halve the range of the sorted x until a middle has `wanted` elements at or below it, or it is narrow."""
        real = x.dtype.type
        low, high, tolerance = x[0], x[-1], np.float32(self.args.tol)
        if wanted == x.size:
            return high
        if wanted == 0 or np.searchsorted(x, low, side="right") >= wanted:
            return low
        while abs(high - low) > tolerance * (abs(high) + abs(low)):
            middle = real(low + (high - low) / 2.0)
            count = np.searchsorted(x, middle, side="right")
            if count == wanted:
                return middle
            if middle in (low, high):
                raise ArgumentError(f"argument tol is {self.args.tol}, which is less than the data type can tell apart")
            low, high = (low, middle) if count > wanted else (middle, high)
        return high


@register("Percentile")
class Percentile(PythonOperator):
    """Linear interpolation in a table for each column."""

    takes = ("float", "float", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x, table, lengths = inputs[0], inputs[1], inputs[2].ravel()
        if np.any(lengths < 1) or lengths.sum() != len(table):
            raise ShapeError(f"lengths must be at least 1 and add up to {len(table)}, the rows of input 1")
        end = 0
        for column, length in enumerate(lengths):
            begin, end = end, end + length
            outputs[0][:, column] = self.look_up(x[:, column], table[begin:end, 0], table[begin:end, 1])

    @staticmethod
    def look_up(x: np.ndarray, values: np.ndarray, percentiles: np.ndarray) -> np.ndarray:
        after = np.clip(np.searchsorted(values, x, side="left"), 1, max(len(values) - 1, 1))
        after = np.minimum(after, len(values) - 1)
        before = np.maximum(after - 1, 0)
        width = np.where(after == before, np.float32(1), values[after] - values[before])
        slope = (percentiles[after] - percentiles[before]) / width
        between = percentiles[before] + slope * (x - values[before])
        return np.where(x < values[0], np.float32(0), np.where(x > values[-1], np.float32(1), between))


@register("BisectPercentile")
class BisectPercentile(PythonOperator):
    """A table with limits on both sides of each value, for each column."""

    takes = "float"

    def setup(self) -> None:
        names = ("percentile_raw", "percentile_mapping", "percentile_lower", "percentile_upper")
        self.tables = [np.float32(getattr(self.args, name)) for name in names]
        lengths = self.args.lengths
        sizes = {t.size for t in self.tables}
        if sizes != {sum(lengths)} or min(lengths, default=1) < 1:
            raise ArgumentError(
                f"{', '.join(names)} must have as many numbers as lengths, at least 1 each, add up to: "
                f"{', '.join(str(t.size) for t in self.tables)} and {sum(lengths)}"
            )

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        end = 0
        for column, length in enumerate(self.args.lengths):
            begin, end = end, end + length
            tables = [t[begin:end] for t in self.tables]
            outputs[0][:, column] = self.look_up(inputs[0][:, column], *tables)

    @staticmethod
    def look_up(
        x: np.ndarray, raw: np.ndarray, mapping: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> np.ndarray:
        k = np.clip(np.searchsorted(raw, x, side="right") - 1, 0, raw.size - 1)
        after = np.minimum(k + 1, raw.size - 1)
        w = (x - raw[k]) / (raw[after] - raw[k] + np.float32(1e-10))
        between = (np.float32(1) - w) * upper[k] + w * lower[after]
        inside = np.where(raw[k] == x, mapping[k], between)
        return np.where(x < raw[0], np.float32(0), np.where(x > raw[-1], np.float32(1), inside))


@register("FlexibleTopK")
class FlexibleTopK(PythonOperator):
    """The k largest elements of each row, with a k for each."""

    takes = ("float", "int64")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.FLOAT if i == 0 else dtypes.INT64), TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        n, counts = inputs[0].shape[-1], inputs[1].ravel()
        bad = np.flatnonzero((counts < 0) | (counts > n))
        if bad.size:
            raise ShapeError(f"k {counts[bad[0]]} at position {bad[0]} is out of range: rows have {n} elements")
        values, places = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
        for row, k in zip(inputs[0].reshape(-1, n), counts):
            if k:
                best, where, _ = _reduce.py_top_k(np.ascontiguousarray(row)[None, :, None], int(k))
                values.append(best.ravel())
                places.append(where.ravel())
        outputs[:] = np.concatenate(values), np.concatenate(places)
