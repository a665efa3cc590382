"""What a calibration has seen of each blob, for a look at it: from a statistics file, or a text file of Caffe2's."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serverquant.qparams.histogram import Histogram
from serverquant.quantization import caffe2_files
from serverquant.quantization.statistics import BlobStatistics, Statistics


@dataclass
class Seen:
    """Of one blob. bins: all of its values, from lo to hi, in bins that may begin before lo and end behind hi; without
    counts where only the range is known."""

    bins: Histogram
    lo: float
    hi: float
    shape: tuple[int, ...] | None = None
    not_finite: int = 0
    maxima: np.ndarray | None = None
    average: np.ndarray | None = None

    @classmethod
    def of(cls, blob: BlobStatistics) -> Seen:
        seen = blob.histogram
        bins = seen.histogram() if seen.total else Histogram(seen.counts, np.float32(0), np.float32(0))
        return cls(bins, seen.lo, seen.hi, blob.shape, seen.not_finite, blob.maxima, blob.average)

    @property
    def total(self) -> int:
        return int(self.bins.counts.sum())

    def percentile(self, percent: float) -> float | None:
        """None where only the range is known."""
        return min(max(self.bins.quantile(percent / 100), self.lo), self.hi) if self.total else None

    def distance(self, other: Seen) -> float | None:
        """See Histogram.distance."""
        return self.bins.distance(other.bins) if self.total and other.total else None

    def equals(self, other: Seen) -> bool:
        """Whether values and counts are the same."""
        same = (self.lo, self.hi, self.not_finite) == (other.lo, other.hi, other.not_finite)
        return same and np.array_equal(self.bins.counts, other.bins.counts)

    def rebinned(self, parts: int) -> tuple[list[float], list[float]]:
        """(values in each of so many parts of the range, where each begins). Counts are shared out where bins are
        cut."""
        borders, below = self.bins.cumulative()
        cuts = np.linspace(self.lo, self.hi, parts + 1)
        shares = np.interp(cuts, borders, below)
        shares[0], shares[-1] = 0.0, 1.0
        return list(np.diff(shares) * self.total), list(cuts[:-1])


@dataclass
class File:
    """blobs by name. facts: of a statistics file, its fingerprint and number of samples."""

    blobs: dict[str, Seen]
    facts: dict[str, Any] = field(default_factory=dict)


def read(path: str | os.PathLike[str]) -> File:
    """A file of either kind. ParseError, QuantizationError for what is none."""
    if zipfile.is_zipfile(path):
        found = Statistics.load(path)
        facts: dict[str, Any] = {"fingerprint": found.fingerprint, "samples": found.samples}
        if found.unfinished:
            facts["unfinished"] = True
        return File({name: Seen.of(blob) for name, blob in found.blobs.items()}, facts)
    lines = caffe2_files.read(path)
    names = [line.blob for line in lines]
    return File(
        {
            line.blob if names.count(line.blob) == 1 else f"{line.operator}:{line.blob}": Seen(
                line.histogram(), line.lo, line.hi
            )
            for line in lines
        }
    )
