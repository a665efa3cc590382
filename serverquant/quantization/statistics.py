"""Statistics of a calibration: a histogram and channel maxima for each blob, in a file that can be merged.

The file is an .npz of plain arrays with a JSON header; equal statistics are equal files. The fingerprint says what
they belong to: a net, and the numerics by which its values were computed. Only statistics of one fingerprint can be
merged.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from typing import Any

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.proto.io import ARRAY_FAULTS, replace_file
from serverquant.quantization.histogram import NO_MAXIMA, AlignedHistogram

FORMAT = "serverquant statistics"
VERSION = 1
NUMERICS = 1  # goes up when float operators compute other values from the same inputs
_EPOCH = (1980, 1, 1, 0, 0, 0)  # members have no time of their own, so that equal statistics are equal bytes


class BlobStatistics:
    """Of one blob. shape: of the last array seen, without its first dimension. maxima: largest magnitude by channel
    (axis 1), float32; None for blobs of fewer than two dimensions. average: float32 [2], moving averages of the
    smallest and the largest value of a batch; None unless they were asked for."""

    def __init__(self) -> None:
        self.histogram = AlignedHistogram()
        self.shape: tuple[int, ...] = ()
        self.maxima: np.ndarray | None = None
        self.average: np.ndarray | None = None

    def add(self, values: np.ndarray, average: float | None = None, counted: bool = True) -> None:
        """Count the values of a batch. average: the weight of its range in the moving averages, above 0, at most 1.
        counted: or only its range and maxima."""
        self.shape = values.shape[1:]
        self._average(self.histogram.add(values, self._maxima_of(values), counted), average)

    def add_clamped(self, values: np.ndarray, top: float, seen: BlobStatistics, average: float | None = None) -> bool:
        """Count min(max(x, 0), top) of the values x of a batch of which `seen` gets the range and maxima alone. Whether
        it was done; not where an x is infinite or NaN, of which a function may be anything."""
        maxima, seen_maxima = self._maxima_of(values), seen._maxima_of(values)
        if not values.size or maxima.size != seen_maxima.size:
            seen.add(values, average, False)
            return False
        seen.shape = values.shape[1:]
        ends, clamped = self.histogram.add_clamped(values, maxima, top, seen.histogram, seen_maxima)
        seen._average(ends, average)
        if clamped is not None:
            self.shape = seen.shape
            self._average(clamped, average)
        return clamped is not None

    def _average(self, ends: tuple[float, float], average: float | None) -> None:
        if average is not None and ends[0] <= ends[1]:
            now = np.array(ends, np.float32)
            before = now if self.average is None else self.average
            self.average = before + np.float32(average) * (now - before)

    def merge(self, other: BlobStatistics) -> None:
        self.histogram.merge(other.histogram)
        self.shape = self.shape or other.shape
        if self.maxima is None or other.maxima is None:
            self.maxima = other.maxima if self.maxima is None else self.maxima
        elif self.maxima.shape == other.maxima.shape:
            self.maxima = np.maximum(self.maxima, other.maxima)
        else:
            self.maxima = NO_MAXIMA

    def _maxima_of(self, values: np.ndarray) -> np.ndarray:
        """Those that values of this shape belong to. A blob whose number of channels varies keeps none: they would mean
        nothing."""
        if values.ndim < 2 or not values.size:
            return NO_MAXIMA
        if self.maxima is None:
            self.maxima = np.zeros(values.shape[1], np.float32)
        elif self.maxima.size != values.shape[1]:
            self.maxima = NO_MAXIMA
        return self.maxima


class Statistics:
    """Of the blobs of one net. samples: how many arrays the net was run on. fingerprint: see `fingerprint`. average:
    the weight of each batch in moving averages, None without them. unfinished: of a calibration that goes on, what its
    data and settings were; "" once it is done, so that the way there leaves no trace."""

    def __init__(self, fingerprint: str = "") -> None:
        self.fingerprint = fingerprint
        self.samples = 0
        self.average: float | None = None
        self.unfinished = ""
        self.blobs: dict[str, BlobStatistics] = {}

    def add(self, name: str, values: np.ndarray, counted: bool = True) -> None:
        """Count the values of a blob, or take note of their range alone."""
        self._of(name).add(values, self.average, counted)

    def add_clamped(self, name: str, values: np.ndarray, top: float, behind: str) -> bool:
        """Take note of the range of a blob's values x, and count those of the blob behind it, min(max(x, 0), top).
        Whether that was done: not where an x is infinite or NaN."""
        return self._of(behind).add_clamped(values, top, self._of(name), self.average)

    def _of(self, name: str) -> BlobStatistics:
        if name not in self.blobs:
            self.blobs[name] = BlobStatistics()
        return self.blobs[name]

    def merge(self, other: Statistics) -> None:
        """Count what others have counted; QuantizationError when their fingerprint is another, or for moving averages,
        which have an order."""
        if other.fingerprint != self.fingerprint:
            raise QuantizationError(
                f"statistics of fingerprint {other.fingerprint or '(none)'} do not belong to those of "
                f"{self.fingerprint or '(none)'}: the net or the version of its numerics differs; calibrate anew"
            )
        if self.unfinished or other.unfinished:
            raise QuantizationError("statistics of a calibration that has not ended cannot be merged; resume it first")
        if self.average is not None or other.average is not None:
            raise QuantizationError(
                "statistics with moving averages cannot be merged: these depend on the order of the data"
            )
        self.samples += other.samples
        for name, blob in other.blobs.items():
            self.blobs.setdefault(name, BlobStatistics()).merge(blob)

    # ---- file -------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all: what was there stays until the new one is complete."""
        replace_file(path, self._bytes())

    def _bytes(self) -> bytes:
        names = sorted(self.blobs)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "samples": self.samples,
            **({} if self.average is None else {"average": self.average}),
            **({"unfinished": self.unfinished} if self.unfinished else {}),
            "blobs": [{"name": name, "shape": list(self.blobs[name].shape)} for name in names],
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as members:
            _write(members, "header", np.frombuffer(json.dumps(header).encode(), np.uint8))
            for i, name in enumerate(names):
                blob = self.blobs[name]
                for key, array in blob.histogram.arrays().items():
                    _write(members, f"{i}.{key}", array)
                for key, optional in (("maxima", blob.maxima), ("average", blob.average)):
                    if optional is not None:
                        _write(members, f"{i}.{key}", optional)
        return packed.getvalue()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Statistics:
        """Read a file that `save` wrote; QuantizationError when it is none, or of a later version."""
        try:
            with np.load(path, allow_pickle=False) as members:
                arrays = dict(members)
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                raise ValueError("other format")
            version = int(header["version"])
        except (*ARRAY_FAULTS, KeyError) as error:
            raise QuantizationError(f"{os.fspath(path)} is not a statistics file: {error}") from error
        if version != VERSION:
            raise QuantizationError(f"{os.fspath(path)} has version {version} of the statistics file, not {VERSION}")
        try:
            return cls._from(header, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise QuantizationError(f"{os.fspath(path)} is damaged: {error}") from error

    @classmethod
    def _from(cls, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Statistics:
        found = cls(str(header["fingerprint"]))
        found.samples = int(header["samples"])
        found.average = float(header["average"]) if "average" in header else None
        found.unfinished = str(header.get("unfinished", ""))
        for i, entry in enumerate(header["blobs"]):
            blob = found.blobs[entry["name"]] = BlobStatistics()
            blob.shape = tuple(map(int, entry["shape"]))
            keys = {key: arrays[f"{i}.{key}"] for key in ("counts", "place", "range")}
            blob.histogram = AlignedHistogram.from_arrays(keys)
            blob.maxima, blob.average = (arrays.get(f"{i}.{key}") for key in ("maxima", "average"))
        return found


def _write(members: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with members.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def fingerprint(*net: Any) -> str:
    """What statistics belong to: the parts of a net as bytes, and the version of the numerics."""
    return digest(b"%d" % VERSION, b"%d" % NUMERICS, *net)


def digest(*parts: Any) -> str:
    """32 hexadecimal digits that tell these parts, bytes or buffers of bytes, from others."""
    found = hashlib.sha256()
    for part in parts:
        found.update(b"%d:" % len(part))
        found.update(part)
    return found.hexdigest()[:32]
