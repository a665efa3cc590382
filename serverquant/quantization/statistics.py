"""Statistics of a calibration: a histogram and channel maxima for each blob, in a file that can be merged.

The file is an .npz of plain arrays with a JSON header; equal statistics are equal files. The fingerprint says what
they belong to: the net, the data and the settings. Only statistics of one fingerprint can be merged.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.quantization.histogram import AlignedHistogram

FORMAT = "serverquant statistics"
VERSION = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)  # members have no time of their own, so that equal statistics are equal bytes


class BlobStatistics:
    """Of one blob. shape: of the last array seen, without its first dimension. maxima: largest magnitude by channel
    (axis 1), float32; None for blobs of fewer than two dimensions."""

    def __init__(self) -> None:
        self.histogram = AlignedHistogram()
        self.shape: tuple[int, ...] = ()
        self.maxima: np.ndarray | None = None

    def add(self, values: np.ndarray) -> None:
        self.histogram.add(values)
        self.shape = values.shape[1:]
        if values.ndim > 1 and values.size:
            axes = tuple(i for i in range(values.ndim) if i != 1)
            self._raise(np.maximum(values.max(axis=axes), -values.min(axis=axes)).astype(np.float32))

    def merge(self, other: BlobStatistics) -> None:
        self.histogram.merge(other.histogram)
        self.shape = self.shape or other.shape
        if other.maxima is not None:
            self._raise(other.maxima)

    def _raise(self, maxima: np.ndarray) -> None:
        """A blob whose number of channels varies keeps no maxima: they would mean nothing."""
        if self.maxima is None:
            self.maxima = maxima.copy()
        elif self.maxima.shape == maxima.shape:
            np.maximum(self.maxima, maxima, out=self.maxima)
        else:
            self.maxima = np.zeros(0, np.float32)


class Statistics:
    """Of the blobs of one net. samples: how many arrays the net was run on. fingerprint: see `fingerprint`."""

    def __init__(self, fingerprint: str = "") -> None:
        self.fingerprint = fingerprint
        self.samples = 0
        self.blobs: dict[str, BlobStatistics] = {}

    def add(self, name: str, values: np.ndarray) -> None:
        """Count the values of a blob."""
        self.blobs.setdefault(name, BlobStatistics()).add(values)

    def merge(self, other: Statistics) -> None:
        """Count what others have counted; QuantizationError when their fingerprint is another."""
        if other.fingerprint != self.fingerprint:
            raise QuantizationError(
                f"statistics of fingerprint {other.fingerprint or '(none)'} do not belong to those of "
                f"{self.fingerprint or '(none)'}: net, data or settings differ; calibrate anew"
            )
        self.samples += other.samples
        for name, blob in other.blobs.items():
            self.blobs.setdefault(name, BlobStatistics()).merge(blob)

    # ---- file -------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all: what was there stays until the new one is complete."""
        target = Path(path)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, delete=False) as file:
            try:
                file.write(self._bytes())
                file.flush()
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise

    def _bytes(self) -> bytes:
        names = sorted(self.blobs)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "fingerprint": self.fingerprint,
            "samples": self.samples,
            "blobs": [{"name": name, "shape": list(self.blobs[name].shape)} for name in names],
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as members:
            _write(members, "header", np.frombuffer(json.dumps(header).encode(), np.uint8))
            for i, name in enumerate(names):
                blob = self.blobs[name]
                for key, array in blob.histogram.arrays().items():
                    _write(members, f"{i}.{key}", array)
                if blob.maxima is not None:
                    _write(members, f"{i}.maxima", blob.maxima)
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
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
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
        for i, entry in enumerate(header["blobs"]):
            blob = found.blobs[entry["name"]] = BlobStatistics()
            blob.shape = tuple(map(int, entry["shape"]))
            keys = {key: arrays[f"{i}.{key}"] for key in ("counts", "place", "range")}
            blob.histogram = AlignedHistogram.from_arrays(keys)
            blob.maxima = arrays.get(f"{i}.maxima")
        return found


def _write(members: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with members.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def fingerprint(net: bytes, data: str = "", settings: Any = None) -> str:
    """What statistics belong to: the serialized net, a description of the data, the settings (anything JSON holds)."""
    digest = hashlib.sha256()
    for part in (b"%d" % VERSION, net, data.encode(), json.dumps(settings, sort_keys=True).encode()):
        digest.update(b"%d:" % len(part) + part)
    return digest.hexdigest()[:32]
