"""Reductions of segments of float tensors."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.segment import _segment
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register

# What a type's name ends with -> the kernel's reduction.
KERNELS = {
    "Sum": "sum",
    "WeightedSum": "sum",
    "Mean": "mean",
    "Max": "max",
    "RangeSum": "sum",
    "RangeMean": "range_mean",
    "RangeMax": "range_max",
    "RangeLogSumExp": "log_sum_exp",
    "RangeLogMeanExp": "log_mean_exp",
}


class Segments(Operator):
    """Reduces segments: the type's name says how they are described, and what is done with them."""

    def setup(self) -> None:
        kind, _, reduction = self.type.replace("Lengths", "Lengths ").replace("Segment", "Segment ").partition(" ")
        self.reduction = KERNELS[reduction]
        self.grouping = "lengths" if kind == "Lengths" else "unsorted" if "Unsorted" in kind else "sorted"
        self.weights = int(reduction == "WeightedSum")
        self.rows = self.weights + 1 if kind.startswith("Sparse") else 0
        self.wanted = getattr(self.args, "num_segments", -1)
        if self.wanted < -1:
            raise ArgumentError(f"argument num_segments is {self.wanted}; it must be -1 or more")

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "float")
        if self.weights:
            self.expect(ins, 1, "float")
        if self.rows:
            self.expect(ins, self.rows, "int32", "int64")
        self.expect(ins, len(ins) - 1, "int32")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _segment.segments_step(
            self.reduction,
            self.grouping,
            weights=self.weights,
            rows=self.rows,
            groups=len(ins) - 1,
            wanted=self.wanted,
        )


@register("LengthsSum", "LengthsMean", "LengthsMax", "LengthsWeightedSum")
class Lengths(Segments):
    """Segments of successive rows."""


@register("SortedSegmentSum", "SortedSegmentMean", "SortedSegmentWeightedSum")
class Sorted(Segments):
    """Segments by sorted ids."""


@register("SparseSortedSegmentSum", "SparseSortedSegmentMean", "SparseSortedSegmentWeightedSum")
class SparseSorted(Segments):
    """Segments of rows that indices name, by sorted ids."""


@register("UnsortedSegmentSum", "UnsortedSegmentMean", "UnsortedSegmentWeightedSum")
class Unsorted(Segments):
    """Segments by ids in any order."""


@register("SparseUnsortedSegmentSum", "SparseUnsortedSegmentMean", "SparseUnsortedSegmentWeightedSum")
class SparseUnsorted(Segments):
    """Segments of rows that indices name, by ids in any order."""


@register(
    "SortedSegmentRangeSum",
    "SortedSegmentRangeMean",
    "SortedSegmentRangeMax",
    "SortedSegmentRangeLogSumExp",
    "SortedSegmentRangeLogMeanExp",
)
class SortedRange(Segments):
    """The same with reductions of a whole segment at once."""


@register("ReduceFrontWeightedSum")
class ReduceFrontWeightedSum(Operator):
    """All rows as one segment."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _segment.weighted_front_step()
