"""The text files of Caffe2's observers.

A line for each output of each operator, words between blanks:

    min/max      operator index, type, output index, blob, min, max
    histogram    the same, the number of bins, and the count of each bin
    columns      operator index, output index, blob, column, min, max, the number of bins, and the counts

Older files lack the type; both are read, the newer form is written. Files of columns, and those with another delimiter
than blanks, are only written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serverquant._base.errors import MachineError, ParseError
from serverquant.proto.io import replace_file
from serverquant.qparams.histogram import MAX_BINS, Histogram

f32 = np.float32


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

    def words(self) -> list[str]:
        """As they stand in a file; numbers have six digits, as Caffe2's."""
        return [str(self.operator), self.type, str(self.output), self.blob, *_range(self.lo, self.hi, self.counts)]


class ColumnLine(NamedTuple):
    """Of a file of columns: one column of a matrix."""

    operator: int
    output: int
    blob: str
    column: int
    lo: float
    hi: float
    counts: np.ndarray

    def words(self) -> list[str]:
        """As they stand in a file."""
        place = [str(self.operator), str(self.output), self.blob, str(self.column)]
        return place + _range(self.lo, self.hi, self.counts)


def _range(lo: float, hi: float, counts: np.ndarray | None) -> list[str]:
    ends = [f"{lo:g}", f"{hi:g}"]
    return ends if counts is None else [*ends, str(counts.size), *map(str, counts.tolist())]


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


def write(path: str | os.PathLike[str], lines: Iterable[Line | ColumnLine], delimiter: str = " ") -> None:
    """Write a file as Caffe2's observers do; MachineError where that fails."""
    save(path, (delimiter.join(line.words()) for line in lines))


def save(path: str | os.PathLike[str], lines: Iterable[str]) -> None:
    """Write lines of text; MachineError where that fails."""
    try:
        replace_file(path, "".join(line + "\n" for line in lines).encode())
    except OSError as error:
        raise MachineError(f"{os.fspath(path)} cannot be written: {error.strerror}") from error
