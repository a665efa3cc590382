"""The nets of this folder with their inputs and the answers of the real Caffe2, for tests, benchmarks and demos.

::

    for case in cases.cases():
        net = serverquant.load(case.init_path(), case.predict_path, keep_blobs=True)
        run it on case.inputs(), fetch every blob that case.answers() names, and
        for answer in case.answers():
            assert not answer.compare(blob)

Needs numpy only. Init nets of the `_recipe` cases are written into `build/nets` when first asked for.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import make_weights
import numpy as np

NETS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Answer:
    """What a blob held after Caffe2's run.

    blob: its name. first: only so many items along the first axis are meant, None for all. every: `values` are those
    at every so many places of the flattened blob. shape, sha256: of all that is meant. scale, zero_point: None for a
    float blob. moved: how far this blob moved when the net's inputs were off by a millionth.
    """

    blob: str
    values: np.ndarray
    shape: tuple[int, ...]
    sha256: str
    first: int | None
    every: int
    scale: np.float32 | None
    zero_point: int | None
    moved: float

    def compare(self, got: Any) -> str:
        """Why the blob (an array, or an object with data, scale and zero_point) is not this; empty when it agrees.

        Int8: every byte, the scale and the zero point. Float: at most 1e-4 of the blob's largest magnitude off, and 20
        times `moved` more, because sums of floats in another order are as good.
        """
        if (self.scale is not None) != hasattr(got, "zero_point"):
            return f"got {'an Int8' if self.scale is None else 'a plain'} tensor"
        data = np.asarray(got.data if self.scale is not None else got)
        data = np.ascontiguousarray(data[: self.first])
        if data.shape != self.shape or data.dtype != self.values.dtype:
            return f"got {data.dtype} {data.shape}, expected {self.values.dtype} {self.shape}"
        if self.scale is None:
            return self._compare_floats(data)
        if (np.float32(got.scale), int(got.zero_point)) != (self.scale, self.zero_point):
            return f"got scale {got.scale!r}, zero point {got.zero_point}; expected {self.scale!r}, {self.zero_point}"
        return self._compare_bytes(data)

    def _compare_floats(self, data: np.ndarray) -> str:
        sample, want = data.ravel()[:: self.every], self.values.ravel()
        worst = float(np.abs(sample.astype(np.float64) - want).max(initial=0))
        allowed = 1e-4 * float(np.abs(want).max(initial=0)) + 20 * self.moved
        return "" if worst <= allowed else f"off by {worst:g}, {allowed:g} is allowed"

    def _compare_bytes(self, data: np.ndarray) -> str:
        if hashlib.sha256(data.tobytes()).hexdigest() == self.sha256:
            return ""
        sample, want = data.ravel()[:: self.every].astype(np.int64), self.values.ravel().astype(np.int64)
        off = np.abs(sample - want)
        return f"{np.count_nonzero(off)} of {off.size} sampled bytes differ, by {off.max(initial=0)} at most"


@dataclass(frozen=True)
class NetCase:
    """A net with inputs and answers. info: what `case.json` says (origin, accuracy, ...)."""

    name: str
    info: dict[str, Any]

    @property
    def folder(self) -> Path:
        return NETS / self.name

    @property
    def predict_path(self) -> Path:
        return self.folder / "predict_net.pb"

    def init_path(self) -> Path:
        """The init net's file, made first where only its recipe is kept."""
        stored = self.folder / "init_net.pb"
        return stored if stored.exists() else make_weights.written(self.name)

    @property
    def full_size(self) -> bool:
        """Whether this is one of the large nets whose weights a recipe makes."""
        return (self.folder / "weights.json").exists()

    def inputs(self) -> dict[str, np.ndarray]:
        """Input blob -> array; an int8 net shares those of its float original."""
        return _arrays(NETS / self.info.get("inputs_from", self.name) / "inputs.npz")

    def answers(self) -> list[Answer]:
        """Outputs first, then inner blobs in the order of the net."""
        arrays = _arrays(self.folder / "outputs.npz")
        return [self._answer(key, meta, arrays) for key, meta in self.info["blobs"].items()]

    def _answer(self, key: str, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        blob, _, first = key.removesuffix("]").partition("[:")  # "NAME[:4]" holds the first four images
        int8 = f"{key}__scale" in arrays
        return Answer(blob, arrays[key], tuple(meta["shape"]), meta["sha256"], int(first) if first else None,
                      meta.get("stored_every", 1), np.float32(arrays[f"{key}__scale"]) if int8 else None,
                      int(arrays[f"{key}__zero_point"]) if int8 else None, self.info["moved_by_1e-6"].get(key, 0.0))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as members:
        return dict(members)


def case(name: str) -> NetCase:
    """The case of this name; FileNotFoundError when there is none."""
    return NetCase(name, json.loads((NETS / name / "case.json").read_text()))


def cases(full_size: bool | None = None) -> list[NetCase]:
    """All cases by name; only the large ones (True) or only the small ones (False) on request."""
    found = [case(path.parent.name) for path in sorted(NETS.glob("*/case.json"))]
    return [c for c in found if full_size in (None, c.full_size)]
