"""Calibration data as batches of named arrays, whatever it comes as."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.proto.io import ARRAY_FAULTS
from serverquant.quantization.images import Images

BATCH = 16
_ENDS = 1 << 16  # bytes of an array's begin and end that its description rests on


class Data:
    """Feeds for the inputs of a net.

    data: an array (of the only input); a folder of images, see `images`; a mapping of input to one of these; the path
    of a folder, or of an .npy or .npz file of arrays; or an iterable of arrays or mappings, each of which is a batch. A
    file may hold more arrays than the net has inputs; one array alone may have any name.
    total: how many samples these are; None when only going through them tells.
    """

    def __init__(self, data: Any, inputs: Sequence[str]):
        self._inputs = inputs
        self._file = ""
        if isinstance(data, (str, os.PathLike)):
            path = Path(data)
            if path.is_dir():
                data = Images(path)
            else:
                data, self._file = _file(path, inputs), _stat(path)
        if isinstance(data, (np.ndarray, Mapping, *SLICED)):
            self._whole: dict[str, Any] | None = _named(data, inputs)
        elif isinstance(data, Iterable):
            self._whole, self._parts = None, data
        else:
            raise ArgumentError(
                "calibration data must be an array, a mapping, a file, a folder or an iterable of these, not "
                f"{type(data).__name__}"
            )

    @property
    def total(self) -> int | None:
        return None if self._whole is None else self._length() or 1

    def _length(self) -> int | None:
        """What the arrays' first dimensions agree on; None when all of them are one sample."""
        assert self._whole is not None
        lengths = {_rows(value) for value in self._whole.values()}
        if lengths == {0}:
            raise QuantizationError("there is no calibration data: the arrays are empty")
        return lengths.pop() if len(lengths) == 1 and None not in lengths else None

    @property
    def sample(self) -> dict[str, Any] | None:
        """The inputs of one sample, where it can be had without going through the data."""
        if self._whole is None or self._length() is None:
            return None
        return {name: _as_float(value[0:1]) for name, value in self._whole.items()}

    @property
    def description(self) -> str:
        """What tells these data from others: name, size and time of files, shape, type, begin and end of arrays.
        Batches that come one by one cannot be told apart."""
        if self._whole is None:
            return "batches one by one"
        return self._file or "; ".join(f"{name}: {_described(value)}" for name, value in sorted(self._whole.items()))

    def batches(self, batch: int = BATCH, skip: int = 0) -> Iterator[dict[str, Any]]:
        """The samples behind the first `skip`, at most `batch` at a time where they are not in batches already."""
        if self._whole is None:
            yield from self._given(skip)
            return
        length = self._length()
        if length is None:
            if not skip:
                yield {name: value[:] if isinstance(value, SLICED) else value for name, value in self._whole.items()}
            return
        for begin in range(skip, length, batch):
            yield {name: _as_float(value[begin : begin + batch]) for name, value in self._whole.items()}

    def _given(self, skip: int) -> Iterator[dict[str, Any]]:
        seen = 0
        for part in self._parts:
            feeds = {name: _as_float(value) for name, value in _named(part, self._inputs).items()}
            seen += samples(feeds)
            if seen > skip:
                yield feeds


def repeatable(data: Any) -> Any:
    """The same data, fit to be gone through several times: an iterator's batches are kept in memory."""
    return list(data) if isinstance(data, Iterator) else data


def batches(data: Any, inputs: Sequence[str], batch: int = BATCH) -> Iterator[dict[str, Any]]:
    """The feeds of `Data`, one after the other."""
    return Data(data, inputs).batches(batch)


def samples(feeds: Mapping[str, Any]) -> int:
    """How many samples a batch holds."""
    return max((_rows(value) or 1 for value in feeds.values()), default=1)


def _rows(value: Any) -> int | None:
    return len(value) if isinstance(value, SLICED) or (isinstance(value, np.ndarray) and value.ndim) else None


def first(data: Any, inputs: Sequence[str], batch: int, most: int) -> Iterator[dict[str, Any]]:
    """Batches of at most so many samples in all; the first one comes as it is, if the data are batches already."""
    left = most
    for feeds in batches(data, inputs, min(batch, most)):
        if left < min(samples(feeds), most):
            return
        yield feeds
        left -= samples(feeds)
        if left <= 0:
            return


def _named(data: Any, inputs: Sequence[str]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        if len(inputs) != 1:
            raise ArgumentError(f"the net has the inputs {', '.join(inputs) or '(none)'}: give arrays by name")
        data = {inputs[0]: data}
    missing = [name for name in inputs if name not in data]
    if missing:
        raise ArgumentError(
            f"calibration data lacks the input {', '.join(missing)}; it has {', '.join(data) or 'none'}"
        )
    return {name: data[name] for name in inputs}


def _as_float(value: Any) -> Any:
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value


def _described(value: Any) -> str:
    if isinstance(value, Images):
        files = zlib.crc32("\n".join(map(_stat, value.files)).encode())
        return f"{len(value)} files of {value.folder} ({files:08x}), {value.rule}"
    if not isinstance(value, np.ndarray):
        return repr(value)
    flat = value.reshape(-1)
    ends = max(1, _ENDS // max(1, value.itemsize))
    mark = zlib.crc32(flat[-ends:].tobytes(), zlib.crc32(flat[:ends].tobytes()))
    return f"{value.dtype} {value.shape} ({mark:08x})"


def _stat(path: Path) -> str:
    found = path.stat()
    return f"{path.name} {found.st_size} {found.st_mtime_ns}"


class Rows(Sequence[np.ndarray]):
    """An array in an .npy file, or a member of an .npz file, of which a slice is read when it is asked for: memory does
    not grow with the file. Slices are best taken in order: a compressed member is read from its begin to get back."""

    def __init__(self, path: Path, member: str | None = None):
        self._path = path
        opened = path.open("rb") if member is None else zipfile.ZipFile(path).open(f"{member}.npy")  # noqa: SIM115
        self._file: IO[bytes] = opened
        version = np.lib.format.read_magic(self._file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, self._by_columns, self.dtype = read(self._file)
        self._begin = self._file.tell()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    @property
    def is_row_by_row(self) -> bool:
        """Whether its bytes are rows of plain values, one behind the other."""
        return bool(self.shape) and not self.dtype.hasobject and not (self._by_columns and len(self.shape) > 1)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self[index : index + 1][0]
        begin, end, _ = index.indices(len(self))
        row_bytes = self.dtype.itemsize * math.prod(self.shape[1:])
        try:
            self._file.seek(self._begin + begin * row_bytes)
            data = self._file.read((end - begin) * row_bytes)
        except ARRAY_FAULTS as error:
            raise ArgumentError(f"{self._path} is damaged: {error}") from error
        if len(data) != (end - begin) * row_bytes:
            raise ArgumentError(f"{self._path} is cut short: {end} of its {len(self)} rows are not there")
        return np.frombuffer(data, self.dtype).reshape(-1, *self.shape[1:])


SLICED = (Images, Rows)  # what gives its samples by slices, as arrays do


def _array(path: Path, member: str | None = None) -> Any:
    rows = Rows(path, member)
    if rows.is_row_by_row:
        return rows
    loaded = np.load(path, allow_pickle=False)
    return loaded if member is None else loaded[member]


def _file(path: Path, inputs: Sequence[str]) -> Any:
    try:
        if path.suffix == ".npy":
            return _array(path)
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as members:
                known = [name.removesuffix(".npy") for name in members.namelist()]
            names = [name for name in known if name in inputs]
            if not names and len(known) == len(inputs) == 1:
                return _array(path, known[0])
            return {name: _array(path, name) for name in names}
    except (*ARRAY_FAULTS, KeyError) as error:
        raise ArgumentError(f"{path} is not a file of numbers: {error}") from error
    raise ArgumentError(f"{path}: calibration data is an .npz or .npy file, or a folder of images")
