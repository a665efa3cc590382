"""Caffe2's own calibration: its dynamic histogram, and the text files of its observers.

A line for each output of each operator, words between blanks:

    min/max      operator index, type, output index, blob, min, max
    histogram    the same, the number of bins, and the count of each bin

Older files lack the type; both are read, the newer form is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serverquant._base.errors import ParseError
from serverquant.proto.io import replace_file
from serverquant.qparams.histogram import MAX_BINS, Histogram

f32 = np.float32
OVER_BINNING = 4


class DynamicHistogram:
    """A histogram whose range grows with the data, as Caffe2's observers keep it: what comes out depends on the order
    in which values go in. For old files; calibration here uses `AlignedHistogram`.

    bins: of the final histogram. Finer ones (four times the bins) are kept, one for each range that held for a time.
    """

    def __init__(self, bins: int) -> None:
        self.bins = bins
        self._parts: list[Histogram] = []
        self._lo, self._hi = f32(np.inf), f32(-np.inf)

    def add(self, values: np.ndarray) -> None:
        """Count values; the first range that does not hold them all gives way to a wider one."""
        flat = np.ascontiguousarray(values, f32).reshape(-1)
        if not flat.size:
            return
        self._lo, self._hi = min(self._lo, flat.min()), max(self._hi, flat.max())
        if not self._parts:
            self._start(self._lo, self._hi)
        elif self._lo < self._parts[-1].lo or self._hi > self._parts[-1].hi:
            self._start(*self._grown(self._parts[-1]))
        part = self._parts[-1]
        part.counts[:] += Histogram.of(flat, part.counts.size, float(part.lo), float(part.hi)).counts

    def _start(self, lo: f32, hi: f32) -> None:
        self._parts.append(Histogram(np.zeros(self.bins * OVER_BINNING, np.int64), f32(lo), f32(hi)))

    def _grown(self, old: Histogram) -> tuple[f32, f32]:
        """The old range, longer by whole multiples of itself: below first, then above by the range so far."""
        lo, hi = old.lo, old.hi
        if self._lo < lo:
            spread = hi - lo
            lo = self._lo if spread == 0 else lo - np.ceil((lo - self._lo) / spread) * spread
        if self._hi > hi:
            spread = hi - lo
            hi = self._hi if spread == 0 else hi + np.ceil((self._hi - hi) / spread) * spread
        return lo, hi

    def finish(self) -> Histogram:
        """All counts in `bins` bins between minimum and maximum. A fine bin that crosses a border gives its begin's bin
        the rounded share of its counts that lies there, and the next bin the rest."""
        final = Histogram(np.zeros(self.bins, np.int64), self._lo, self._hi)
        width = final.width
        for part in self._parts:
            fine = part.width
            for i in np.flatnonzero(part.counts):
                count = int(part.counts[i])
                begin = part.lo + fine * f32(i)
                bin = int((begin - final.lo) / width) if width else 0
                low = final.lo + width * f32(bin)
                high = low + width
                here = min(int(np.rint((high - begin) / fine * f32(count))), count) if fine else 0
                self._put(final, low + width / f32(2), here)
                self._put(final, high + width / f32(2), count - here)
        return final

    @staticmethod
    def _put(final: Histogram, middle: f32, count: int) -> None:
        place = int((middle - final.lo) / final.width) if final.width else 0
        final.counts[min(max(place, 0), final.counts.size - 1)] += count


class Line(NamedTuple):
    """Of an observer's file. counts: None in a min/max file. type: "" in an older one."""

    operator: int
    type: str
    output: int
    blob: str
    lo: float
    hi: float
    counts: np.ndarray | None = None

    def histogram(self) -> Histogram:
        """For the methods of qparams; one bin when only the range is known."""
        counts = np.zeros(1, np.int64) if self.counts is None else self.counts
        return Histogram(counts, f32(self.lo), f32(self.hi))


def read(path: str | os.PathLike[str]) -> list[Line]:
    """The lines of a min/max or histogram file; ParseError names the first that is neither."""
    lines = []
    for number, text in enumerate(_text(path).splitlines(), 1):
        if words := text.split():
            try:
                lines.append(_line(words))
            except (ValueError, IndexError, OverflowError) as error:
                place = f"{os.fspath(path)}, line {number}"
                raise ParseError(f"{place} is no line of an observer's file: {error}") from error
    return lines


def _text(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text()
    except UnicodeDecodeError as error:
        raise ParseError(f"{os.fspath(path)} is no text: {error}") from error


def _line(words: list[str]) -> Line:
    """Told apart by what follows the range: the older forms have their blob one word earlier."""
    for first in (2, 1):
        head, rest = words[: first + 4], words[first + 4 :]
        if len(head) < first + 4 or (rest and not _counts(rest)):
            continue
        try:
            index, output = int(head[0]), int(head[first])
            lo, hi = float(head[first + 2]), float(head[first + 3])
        except ValueError:
            continue
        counts = np.array(rest[1:], np.int64) if rest else None
        return Line(index, head[1] if first == 2 else "", output, head[first + 1], lo, hi, counts)
    raise ValueError(f"it has {len(words)} words")


def _counts(words: list[str]) -> bool:
    return words[0].isdigit() and int(words[0]) == len(words) - 1 <= MAX_BINS and all(w.isdigit() for w in words[1:])


def write(path: str | os.PathLike[str], lines: Iterable[Line]) -> None:
    """Write a file that Caffe2's observers read; numbers have six digits, as there."""
    text = []
    for line in lines:
        words = [str(line.operator), line.type, str(line.output), line.blob, f"{line.lo:g}", f"{line.hi:g}"]
        if line.counts is not None:
            words += [str(line.counts.size), *map(str, line.counts.tolist())]
        text.append(" ".join(words) + "\n")
    replace_file(path, "".join(text).encode())
