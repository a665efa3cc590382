"""What calibration keeps of a blob: a histogram of fixed size that forgets the order in which values came.

Bins are 2^e wide and begin at multiples of 2^e. When the values outgrow MAX_BINS bins, e goes up by one and every two
neighbours become one bin: floor(floor(x / 2^e) / 2) = floor(x / 2^(e+1)). So e and all counts follow from the values
alone, and any order, any sharding and any merging of shards give the same bytes.
"""

from __future__ import annotations

import math

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.qparams.histogram import Histogram
from serverquant.quantization._count import Counting

MAX_BINS = 2048  # 16 KiB
LOWEST_EXPONENT = -149  # of the smallest float32
HIGHEST_EXPONENT = 128 - int(math.log2(MAX_BINS)) + 2
NO_MAXIMA, NO_COUNTS = np.zeros(0, np.float32), np.zeros(0, np.int64)


class AlignedHistogram:
    """Counts of float values, together with 0's bin, which quantization needs anyway.

    exponent: bins are 2^exponent wide. first: the first bin begins at first * 2^exponent. counts: int64. lo, hi: the
    exact float32 minimum and maximum of the finite values, inf and -inf before any. not_finite: how many NaNs and
    infinities were left out.
    """

    def __init__(self) -> None:
        self.exponent = LOWEST_EXPONENT
        self.first = 0
        self.counts = np.zeros(1, np.int64)
        self.lo, self.hi = math.inf, -math.inf
        self.not_finite = 0

    @property
    def total(self) -> int:
        """How many finite values were counted."""
        return int(self.counts.sum())

    def add(self, values: np.ndarray, maxima: np.ndarray = NO_MAXIMA, counted: bool = True) -> tuple[float, float]:
        """Count the values of an array of floats, of any shape. Returns the smallest and the largest finite one of
        them; inf and -inf where there is none.

        maxima: float32, one for each channel (axis 1), raised in place to the largest magnitude of its finite values.
        counted: without it their range alone is taken note of, at a fraction of the cost.
        """
        counting = Counting(_flat(values), math.prod(values.shape[2:]), maxima)
        left = counting.into(self.exponent, self.first, self.counts if counted else NO_COUNTS) and counted
        self._see(counting)
        if left:
            counting.into(self.exponent, self.first, self.counts)
        return counting.lo, counting.hi

    def add_clamped(
        self, values: np.ndarray, maxima: np.ndarray, top: float, seen: AlignedHistogram, seen_maxima: np.ndarray
    ) -> tuple[tuple[float, float], tuple[float, float] | None]:
        """Count v = min(max(x, 0), top) of the values x of an array, of which `seen` takes note of the range alone.

        maxima, seen_maxima: of v and of x, see `add`. Returns the smallest and largest x, and those of v; None, and v
        is not counted, where an x is infinite or NaN.
        """
        counting = Counting(_flat(values), math.prod(values.shape[2:]), seen_maxima, maxima, top)
        left = counting.into(self.exponent, self.first, self.counts)
        seen._see(counting)
        ends = counting.lo, counting.hi
        if counting.not_finite:
            return ends, None
        lo, hi = (min(max(end, 0.0), top) for end in ends)
        if lo < self.lo or hi > self.hi:
            self._hold(lo, hi, LOWEST_EXPONENT)
        if left:
            counting.into(self.exponent, self.first, self.counts)
        return ends, (lo, hi)

    def _see(self, counting: Counting) -> None:
        self.not_finite += counting.not_finite
        if counting.lo < self.lo or counting.hi > self.hi:
            self._hold(counting.lo, counting.hi, LOWEST_EXPONENT)

    def merge(self, other: AlignedHistogram) -> None:
        """Count all that another histogram has counted."""
        self.not_finite += other.not_finite
        if other.lo <= other.hi:
            self._hold(other.lo, other.hi, other.exponent)
            moved = other.first + np.arange(other.counts.size) >> (self.exponent - other.exponent)
            np.add.at(self.counts, moved - self.first, other.counts)

    def _hold(self, lo: float, hi: float, exponent: int) -> None:
        """Make bins for values from lo to hi, none narrower than 2^exponent."""
        self.lo, self.hi = min(self.lo, lo), max(self.hi, hi)
        spread = max(self.hi, 0.0) - min(self.lo, 0.0)
        exponent = max(exponent, self.exponent, math.frexp(spread)[1] - 12)  # narrower ones are more than 2 MAX_BINS
        begin, end = _bins(self.lo, self.hi, exponent)
        while end - begin > MAX_BINS:
            exponent += 1
            begin, end = _bins(self.lo, self.hi, exponent)
        if (exponent, begin, end) == (self.exponent, self.first, self.first + self.counts.size):
            return
        counts = np.zeros(end - begin, np.int64)
        np.add.at(counts, (self.first + np.arange(self.counts.size) >> (exponent - self.exponent)) - begin, self.counts)
        self.exponent, self.first, self.counts = exponent, begin, counts

    def histogram(self) -> Histogram:
        """The bins for the methods of qparams. QuantizationError when nothing was counted."""
        if not self.lo <= self.hi:
            raise QuantizationError("no finite value was seen, so there is no range to quantize")
        width = 2.0**self.exponent
        return Histogram(
            self.counts, np.float32(self.first * width), np.float32((self.first + self.counts.size) * width)
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays, equal for equal values."""
        return {
            "counts": self.counts,
            "place": np.array([self.exponent, self.first, self.not_finite], np.int64),
            "range": np.array([self.lo, self.hi], np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> AlignedHistogram:
        """The histogram that `arrays` gave; QuantizationError when they contradict each other."""
        found = cls()
        try:
            counts, place, ends = (arrays[name] for name in ("counts", "place", "range"))
            found.counts = np.ascontiguousarray(counts, np.int64)
            found.exponent, found.first, found.not_finite = map(int, place)
            found.lo, found.hi = map(float, ends)
        except (KeyError, ValueError, TypeError) as error:
            raise QuantizationError(f"these are not the arrays of a histogram: {error}") from error
        if not found._is_sound():
            raise QuantizationError("a histogram's counts do not agree with its range")
        return found

    def _is_sound(self) -> bool:
        if not LOWEST_EXPONENT <= self.exponent <= HIGHEST_EXPONENT or self.not_finite < 0 or self.counts.ndim != 1:
            return False
        if not (np.isfinite(self.lo) and np.isfinite(self.hi)):
            return (self.lo, self.hi, self.total, self.counts.size) == (math.inf, -math.inf, 0, 1)
        bins = self.first, self.first + self.counts.size
        return self.lo <= self.hi and bool((self.counts >= 0).all()) and bins == _bins(self.lo, self.hi, self.exponent)


def _flat(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).reshape(-1)


def _bins(lo: float, hi: float, exponent: int) -> tuple[int, int]:
    """First bin, and the bin behind the last, of the values from lo to hi and 0."""
    factor = 2.0**-exponent
    return math.floor(min(lo, 0.0) * factor), math.floor(max(hi, 0.0) * factor) + 1
