"""The histogram that Caffe2's observers keep, whose range grows with the data."""

from __future__ import annotations

import numpy as np

from serverquant.qparams.histogram import Histogram

f32 = np.float32
OVER_BINNING = 4
LARGEST = np.finfo(np.float32).max


class DynamicHistogram:
    """What comes out depends on the order in which values go in. For Caffe2's observers and their files; calibration
    here uses `AlignedHistogram`.

    bins: of the final histogram; four times as many are kept. lo, hi: float32, of all values so far, the largest
    float32 and its negative before any.
    """

    def __init__(self, bins: int) -> None:
        self.bins = bins
        self.lo, self.hi = f32(LARGEST), f32(-LARGEST)
        self._fine: Histogram | None = None

    def add(self, values: np.ndarray) -> None:
        """Count values, of any shape. A range that does not hold them all gives way to a wider one.

        Infinities widen it to the largest float32, and count in the first bin, as in Caffe2. NaNs count there too, and
        leave the range alone (in Caffe2 they make it forget what was before).
        """
        flat = np.ascontiguousarray(values, f32).reshape(-1)
        if not flat.size:
            return
        self.lo = max(min(self.lo, np.fmin.reduce(flat)), f32(-LARGEST))
        self.hi = min(max(self.hi, np.fmax.reduce(flat)), f32(LARGEST))
        if self._fine is None:
            self._fine = _empty(self.bins * OVER_BINNING, self.lo, self.hi)
        elif self.lo < self._fine.lo or self.hi > self._fine.hi:
            self._fine = _moved(self._fine, _empty(self._fine.counts.size, *self._grown(self._fine)))
        finite = np.isfinite(flat)
        if not finite.all():
            flat = np.where(finite, flat, self._fine.lo)
        ends = float(self._fine.lo), float(self._fine.hi)
        self._fine.counts[:] += Histogram.of(flat, self._fine.counts.size, *ends).counts

    def _grown(self, old: Histogram) -> tuple[f32, f32]:
        """The old range, longer by whole multiples of itself: below first, then above by the range so far."""
        lo, hi = old.lo, old.hi
        with np.errstate(over="ignore"):
            if self.lo < lo:
                spread = hi - lo
                lo = self.lo if spread == 0 else lo - np.ceil((lo - self.lo) / spread) * spread
            if self.hi > hi:
                spread = hi - lo
                hi = self.hi if spread == 0 else hi + np.ceil((self.hi - hi) / spread) * spread
        return max(lo, f32(-LARGEST)), min(hi, f32(LARGEST))

    def finish(self) -> Histogram:
        """All counts in `bins` bins between minimum and maximum."""
        final = _empty(self.bins, self.lo, self.hi)
        return final if self._fine is None else _moved(self._fine, final)


def _empty(bins: int, lo: f32, hi: f32) -> Histogram:
    return Histogram(np.zeros(bins, np.int64), f32(lo), f32(hi))


def _moved(source: Histogram, target: Histogram) -> Histogram:
    """The target with all counts of the source. A source bin that crosses a border of the target gives its begin's bin
    the rounded share of its counts that lies there, and the next bin the rest. In f32, as in Caffe2."""
    places = np.flatnonzero(source.counts)
    counts = here = source.counts[places]
    fine, width = source.width, target.width
    with np.errstate(over="ignore", invalid="ignore"):  # ranges of nearly all float32
        begin = source.lo + fine * places.astype(f32)
        low = target.lo + width * _bins(begin, target).astype(f32)
        high, half = low + width, width / f32(2)
        if fine > 0 and width > 0:
            share = np.rint((high - begin) / fine * counts.astype(f32))
            here = np.where((share >= 0) & (share < counts), share, counts).astype(np.int64)
        last = target.counts.size - 1
        np.add.at(target.counts, np.clip(_bins(low + half, target), 0, last), here)
        np.add.at(target.counts, np.clip(_bins(high + half, target), 0, last), counts - here)
    return target


def _bins(values: np.ndarray, histogram: Histogram) -> np.ndarray:
    """Which bins hold the values, f32; beyond the ends too."""
    width = histogram.width
    return ((values - histogram.lo) / width).astype(np.int64) if width else np.zeros(values.shape, np.int64)
