"""Calibration data as batches of named arrays, whatever it comes as."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError

BATCH = 16


def repeatable(data: Any) -> Any:
    """The same data, fit to be gone through several times: an iterator's batches are kept in memory."""
    return list(data) if isinstance(data, Iterator) else data


def batches(data: Any, inputs: Sequence[str], batch: int = BATCH) -> Iterator[dict[str, Any]]:
    """Feeds for the inputs of a net, one after the other.

    data: an array (of the only input); a mapping of input to array; the path of an .npy or .npz file of these; or an
    iterable of arrays or mappings, each of which is a batch. Whole arrays whose first dimensions agree are cut into
    batches. A file may hold more arrays than the net has inputs; one array alone may have any name.
    """
    if isinstance(data, (str, os.PathLike)):
        data = _file(Path(data), inputs)
    if isinstance(data, (np.ndarray, Mapping)):
        yield from _cut(_named(data, inputs), batch)
    elif isinstance(data, Iterable):
        for part in data:
            yield _named(part, inputs)
    else:
        raise ArgumentError(
            f"calibration data must be an array, a mapping, a file or an iterable of these, not {type(data).__name__}"
        )


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
    found = {name: data[name] for name in inputs}
    for name, value in found.items():
        if isinstance(value, np.ndarray) and value.dtype == np.float64:
            found[name] = value.astype(np.float32)
    return found


def _cut(feeds: dict[str, Any], batch: int) -> Iterator[dict[str, Any]]:
    lengths = {len(v) if isinstance(v, np.ndarray) and v.ndim else -1 for v in feeds.values()}
    if lengths == {0}:
        raise QuantizationError("there is no calibration data: the arrays are empty")
    if len(lengths) != 1 or -1 in lengths:
        yield feeds
        return
    for begin in range(0, lengths.pop(), batch):
        yield {name: value[begin : begin + batch] for name, value in feeds.items()}


def _file(path: Path, inputs: Sequence[str]) -> Any:
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False, mmap_mode="r")
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as members:
                names = [name for name in members.files if name in inputs]
                if not names and len(members.files) == len(inputs) == 1:
                    return members[members.files[0]]
                return {name: members[name] for name in names}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ArgumentError(f"{path} is not a file of numbers: {error}") from error
    raise ArgumentError(f"{path}: calibration data is an .npz or .npy file")
