"""Caffe2's observers: what the operators of a net write, as lines of text files (see `caffe2_files`).

    watch(net, HistogramObserver(net, "net.hist"))      # net.hist is written when the net goes

Float tensors and tensors of int32 and int64 are counted, as floats. Other outputs have lines too, of an empty range:
from the largest float32 to its negative.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, MachineError, NetError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR
from serverquant.blobs.store import closest
from serverquant.qparams import find_min_max
from serverquant.quantization.caffe2_files import ColumnLine, Line, write
from serverquant.quantization.dynamic_histogram import LARGEST, DynamicHistogram
from serverquant.runtime.operator import Operator

BINS = 2048
COUNTED = (dtypes.FLOAT, dtypes.INT32, dtypes.INT64)
NEVER = -1
Place = tuple[int, int]  # operator, output


def watch(net: Any, observer: FileObserver) -> FileObserver:
    """Attach an observer that lives as long as the net: it writes its file when the net's workspace forgets the net,
    when nobody holds the net any more, or when the program ends."""
    net.attach(observer)
    weakref.finalize(net, observer.closed)
    return observer


def check(path: str | os.PathLike[str], dump_freq: int = NEVER) -> None:
    """ArgumentError unless a file can be written to the path and dumps can come so often."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise ArgumentError(f"{folder} is no folder to write {os.path.basename(path)} to")
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        raise ArgumentError(f"{os.fspath(path)} cannot be written: it is a folder, or in one that nobody may write to")
    if dump_freq != NEVER and dump_freq < 1:
        raise ArgumentError(f"dump_freq is {dump_freq}; it must be 1 or more runs, or {NEVER} for no dumps on the way")


class FileObserver:
    """What all of them share (an `observe.Watcher`).

    path: of the file that is written at the end. dump_freq: so many runs are counted together and written to a file of
    their own, `path` with _1, _2, ... before its suffix; -1: none. mul_nets: nets of one name are observed; each file
    has its observer's address behind its name. delimiter: between the words of a line.
    """

    TOTALS = True  # the file at the end is of all runs; else of those since the last dump

    def __init__(
        self,
        net: Any,
        path: str | os.PathLike[str],
        dump_freq: int = NEVER,
        mul_nets: bool = False,
        delimiter: str = " ",
    ):
        check(path, dump_freq)
        self.path, self.dump_freq = os.path.abspath(path), dump_freq
        self._suffix = f".{id(self):#x}" if mul_nets else ""
        self._delimiter = delimiter
        self._operators = [(op.type, tuple(op.output)) for op in net.proto.op]
        self._runs, self._is_closed = 0, False

    # ---- what the net tells ---------------------------------------------------------------------------------------

    def wrote(self, operator: Operator, blobs: list[Blob]) -> None:
        for i, blob in enumerate(blobs):
            if blob.kind == TENSOR and blob.spec().dtype in COUNTED and blob.spec().size:
                name = operator.outputs[i]
                self.count(self._place(operator.definition.index, i, name), name, np.asarray(blob.view(), np.float32))

    def _place(self, index: int, output: int, name: str) -> Place:
        """Whose output that is: in a planned net an operator may do the work of later ones too."""
        for i in range(index, len(self._operators)):
            outputs = self._operators[i][1]
            if name in outputs:
                return i, output if outputs[output : output + 1] == (name,) else outputs.index(name)
        return index, output

    def ran(self, net: Any, begin: int, end: int, parts: list[Any]) -> None:
        self._runs += 1
        if self.dump_freq != NEVER and self._runs % self.dump_freq == 0:
            self._write(self._numbered(self._runs // self.dump_freq))

    def closed(self, net: Any = None) -> None:
        """Write the file at the end, once; a warning where that fails: nothing could be undone."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._write(self.path, self.TOTALS)
        except MachineError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)

    # ---- files ----------------------------------------------------------------------------------------------------

    def dump(self) -> None:
        """Write what was counted since the last dump to `path`, now, and begin anew."""
        self._write(self.path)

    def _numbered(self, number: int) -> str:
        folder, name = os.path.split(self.path)
        stem, dot, suffix = name.rpartition(".")
        return os.path.join(folder, f"{stem}_{number}{dot}{suffix}" if dot else f"{name}_{number}")

    def _write(self, path: str, totals: bool = False) -> None:
        write(path + self._suffix, self.lines(totals), self._delimiter)
        if not totals:
            self.forget()

    def places(self) -> Iterable[tuple[Place, str, str]]:
        """(place, type, blob) of each output of each operator, in the order of the net."""
        for index, (kind, outputs) in enumerate(self._operators):
            for i, name in enumerate(outputs):
                yield (index, i), kind, name

    def count(self, place: Place, blob: str, values: np.ndarray) -> None:
        """Take note of values, float32, not empty."""
        raise NotImplementedError

    def lines(self, totals: bool) -> Iterable[Line | ColumnLine]:
        """Of all runs, or of those since the last dump."""
        raise NotImplementedError

    def forget(self) -> None:
        """Begin anew; totals stay."""
        raise NotImplementedError


class MinMaxObserver(FileObserver):
    """The range of each output."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._ranges: dict[Place, tuple[float, float]] = {}
        self._totals: dict[Place, tuple[float, float]] = {}

    def count(self, place: Place, blob: str, values: np.ndarray) -> None:
        lo, hi = find_min_max(values)
        for ranges in (self._ranges, self._totals):
            before = ranges.get(place, (LARGEST, -LARGEST))
            ranges[place] = min(before[0], lo), max(before[1], hi)

    def lines(self, totals: bool) -> Iterable[Line]:
        ranges = self._totals if totals else self._ranges
        for place, kind, name in self.places():
            yield Line(place[0], kind, place[1], name, *ranges.get(place, (LARGEST, -LARGEST)))

    def forget(self) -> None:
        self._ranges.clear()


class HistogramObserver(FileObserver):
    """A histogram of 2048 bins of each output."""

    TOTALS = False

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._histograms: dict[Place, DynamicHistogram] = {}

    def count(self, place: Place, blob: str, values: np.ndarray) -> None:
        self._histograms.setdefault(place, DynamicHistogram(BINS)).add(values)

    def lines(self, totals: bool) -> Iterable[Line]:
        for place, kind, name in self.places():
            found = self._histograms.get(place, DynamicHistogram(BINS)).finish()
            yield Line(place[0], kind, place[1], name, float(found.lo), float(found.hi), found.counts)

    def forget(self) -> None:
        self._histograms.clear()


class ColumnMaxObserver(FileObserver):
    """For each column of some matrices a histogram of the largest magnitude in each run.

    blobs: their names. ShapeError ends a run in which one of them is no matrix, or has another number of columns than
    before.
    """

    def __init__(self, net: Any, path: str | os.PathLike[str], blobs: Iterable[str], bins: int = 16, *options: Any):
        super().__init__(net, path, *options)
        if bins < 1:
            raise ArgumentError(f"bin_nums is {bins}; it must be 1 or more")
        self._blobs, self._bins = set(blobs), bins
        written = {name for _, _, name in self.places()}
        for name in self._blobs - written:
            raise NetError(f'no operator of net "{net.name}" writes "{name}"{closest(name, list(written))}')
        self._columns: dict[Place, list[DynamicHistogram]] = {}
        self._totals: dict[Place, list[DynamicHistogram]] = {}

    def count(self, place: Place, blob: str, values: np.ndarray) -> None:
        if blob not in self._blobs:
            return
        known = len(self._totals.get(place, ()))
        if values.ndim != 2 or (known and values.shape[1] != known):
            columns = f" of {known} columns, as before" if known else ""
            raise ShapeError(f'"{blob}" is {"x".join(map(str, values.shape))}, but must be a matrix{columns}')
        for histograms in (self._columns, self._totals):
            columns_of = histograms.setdefault(place, [DynamicHistogram(self._bins) for _ in range(values.shape[1])])
            for histogram, largest in zip(columns_of, np.fmax.reduce(np.abs(values), axis=0)):
                histogram.add(largest)

    def lines(self, totals: bool) -> Iterable[ColumnLine]:
        histograms = self._totals if totals else self._columns
        for place, _, name in self.places():
            for column, histogram in enumerate(histograms.get(place, ())):
                found = histogram.finish()
                yield ColumnLine(*place, name, column, float(found.lo), float(found.hi), found.counts)

    def forget(self) -> None:
        self._columns.clear()
