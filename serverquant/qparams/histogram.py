"""Histograms of a tensor's values over bins of equal width, in f32 as Caffe2 keeps them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.qparams._search import ALL_RANGES, AROUND_ZERO, FROM_FIRST, count_native

# Values far from 0 for their spread need ever more bins to include it, until memory ends.
MAX_BINS = 1 << 20


class Histogram(NamedTuple):
    """counts: int64, one for each bin. lo, hi: float32, the outer ends of the bins."""

    counts: np.ndarray
    lo: np.float32
    hi: np.float32

    @classmethod
    def of(cls, values: np.ndarray, bins: int, lo: float, hi: float) -> Histogram:
        """Count float values between lo and hi, their minimum and maximum, both finite and lo < hi."""
        counts = np.zeros(bins, np.int64)
        empty = cls(counts, np.float32(lo), np.float32(hi))
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        if empty.width > 0:
            count_native(flat, lo, float(empty.width), counts)
        else:  # a spread too small for f32
            counts[0] = flat.size
        return empty

    @property
    def width(self) -> np.float32:
        """Of a bin: f32(f32(hi - lo) / bins)."""
        with np.errstate(over="ignore"):
            return (self.hi - self.lo) / np.float32(self.counts.size)

    def cumulative(self) -> tuple[np.ndarray, np.ndarray]:
        """(borders of the bins, share of the values below each), float64: values are taken as spread evenly in a
        bin."""
        borders = np.linspace(float(self.lo), float(self.hi), self.counts.size + 1)
        below = np.concatenate(([0], np.cumsum(self.counts))) / max(1, int(self.counts.sum()))
        return borders, below

    def quantile(self, share: float) -> float:
        """The value that this share of all, 0 to 1, lies below."""
        borders, below = self.cumulative()
        i = min(max(int(np.searchsorted(below, share)), 1), self.counts.size)
        inside = (share - below[i - 1]) / (below[i] - below[i - 1]) if below[i] > below[i - 1] else 0.0
        return float(borders[i - 1] + min(max(inside, 0.0), 1.0) * (borders[i] - borders[i - 1]))

    def distance(self, other: Histogram) -> float:
        """The largest difference between the shares of values below the same place, 0 to 1 (Kolmogorov, Smirnov)."""
        (a, below_a), (b, below_b) = self.cumulative(), other.cumulative()
        places = np.union1d(a, b)
        shares = (np.interp(places, x, y, left=0.0, right=1.0) for x, y in ((a, below_a), (b, below_b)))
        return float(np.abs(np.subtract(*shares)).max())

    def include_zero(self, max_bins: int = MAX_BINS) -> Histogram:
        """With k = ceil(f32(distance / width)) empty bins added in front, or behind, so that 0 lies within.

        Raises QuantizationError when that takes more than max_bins bins: the values are too far from 0 for their
        spread.
        """
        width = self.width
        if self.lo > 0:
            k = self._missing(self.lo, max_bins)
            return Histogram(np.pad(self.counts, (k, 0)), self.lo - np.float32(k) * width, self.hi)
        if self.hi < 0:
            k = self._missing(-self.hi, max_bins)
            return Histogram(np.pad(self.counts, (0, k)), self.lo, self.hi + np.float32(k) * width)
        return self

    def ranges(self, symmetric: bool, width: np.floating) -> tuple[int, int]:
        """(which ranges a search tries, the bin border nearest to 0): halves go away from zero.

        width: of a bin; its type is the precision of the quotient.
        """
        if not symmetric:
            return ALL_RANGES, 0
        if self.lo == 0:
            return FROM_FIRST, 0
        border = float(-self.lo / width)
        return AROUND_ZERO, int(np.copysign(np.floor(abs(border) + 0.5), border))

    def _missing(self, distance: np.float32, max_bins: int) -> int:
        with np.errstate(divide="ignore", over="ignore"):
            k = np.ceil(distance / self.width)
        if not k <= max_bins - self.counts.size:
            raise QuantizationError(
                f"the values lie between {self.lo:.9g} and {self.hi:.9g}, too far from 0 for their spread: a histogram "
                f"that holds 0 would need more than {max_bins} bins; choose kind min_max for this tensor"
            )
        return int(k)
