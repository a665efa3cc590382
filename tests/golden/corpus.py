"""The golden corpus: what the real Caffe2 1.8.1 answered, and when ours counts as the same.

::

    for case in corpus.cases():
        run case.init once if there is one, create case.net, then for every step of case.steps():
            feed step.inputs (later steps replace blobs, the others stay), run the net, and for every output
            assert not corpus.compare(want, got, case.compare[name])

A value is a numpy array, an `Int8` (quantized tensor with its parameters) or a list of bytes (string tensor).
`cases/*.npz` hold one family of cases each; `build_cases.py` writes them and its docstring has the format.
This module needs numpy alone: the judge shares no code with what it judges.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent / "cases"


class Int8(NamedTuple):
    """A quantized tensor. data: uint8, uint16 or int32; real value = scale * (data - zero_point)."""

    data: np.ndarray
    scale: np.float32
    zero_point: int


class Step(NamedTuple):
    """One run of a net: what is fed before it, and what its outputs hold after it."""

    inputs: dict[str, Value]
    outputs: dict[str, Value]


Value = np.ndarray | Int8 | list[bytes]


@dataclass(frozen=True)
class Case:
    """One net with Caffe2's answers.

    compare: per output {"mode": exact|close|lsb|shape, ...}, see `compare`.
    error: Caffe2's message where it refused the net; then the steps have no outputs.
    flags: what was checked when the case was made: "repeats" (a second run gave the same bits), "int_ref" (an integer
    model agrees), "pair_safe" (Caffe2 gives the same without VNNI: no pair of products passes int16).
    """

    id: str
    family: str
    op: str
    engine: str
    tags: tuple[str, ...]
    flags: dict[str, Any]
    compare: dict[str, dict[str, Any]]
    error: str | None
    net: bytes
    init: bytes | None
    _steps: list[dict[str, dict[str, Any]]]
    _store: bytes
    _replaced: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        return f"<Case {self.id}: {self.op} {self.engine or '(no engine)'}>"

    def steps(self) -> list[Step]:
        """The runs in order, with fresh writable arrays."""
        if self._replaced:
            return list(self._replaced)
        return [Step({k: self._value(v) for k, v in step["inputs"].items()},
                     {k: self._value(v) for k, v in step["outputs"].items()}) for step in self._steps]

    def with_steps(self, steps: list[Step]) -> Case:
        """The same net to be run on other inputs."""
        return dataclasses.replace(self, _replaced=tuple(steps))

    def _value(self, stored: dict[str, Any]) -> Value:
        if "strings" in stored:
            return [bytes.fromhex(text) for text in stored["strings"]]
        data = read_array(self._store, stored["at"])
        if "scale" in stored:
            return Int8(data, np.float32(stored["scale"]), stored["zero_point"])
        return data


def read_array(store: bytes, at: list[Any]) -> np.ndarray:
    """The array at [offset in bytes, dtype, shape] of the store, as a copy."""
    offset, dtype, shape = at
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(store, dtype, count, offset).reshape(shape).copy()


def cases(family: str | None = None, op: str | None = None) -> Iterator[Case]:
    """All cases in a fixed order, or those of one family or one operator type."""
    for path in sorted(FOLDER.glob("*.npz")):
        for case in _read(path):
            if family in (None, case.family) and op in (None, case.op):
                yield case


def case(case_id: str) -> Case:
    """The case of this id; KeyError when there is none."""
    return _by_id()[case_id]


@functools.cache
def _by_id() -> dict[str, Case]:
    return {case.id: case for case in cases()}


@functools.cache
def _read(path: Path) -> tuple[Case, ...]:
    with np.load(path) as members:
        manifest = json.loads(members["manifest"].tobytes())
        store = members["store"].tobytes()
    return tuple(_case(entry, store) for entry in manifest["cases"])


def _case(entry: dict[str, Any], store: bytes) -> Case:
    net, init = (None if entry[k] is None else read_array(store, entry[k]).tobytes() for k in ("net", "init"))
    assert net is not None
    return Case(entry["id"], entry["family"], entry["op"], entry["engine"], tuple(entry["tags"]), entry["flags"],
                entry["compare"], entry["error"], net, init, entry["steps"], store)


def compare(want: Value, got: Any, spec: dict[str, Any]) -> str:
    """Why `got` does not count as `want`; an empty text when it does.

    got: array, any object with data, scale and zero_point, or a list or object array of bytes or str.
    spec["mode"]: exact: every bit (any NaN for a NaN, 0 for -0), scale and zero point included; close: rtol and atol;
    lsb: quantized values at most "tol" apart and parameters nearly equal (Caffe2 summed floats in free order to find
    them); shape: shape and dtype alone (random data).
    """
    if isinstance(want, list):
        return _compare_strings(want, got)
    if isinstance(want, Int8):
        if not hasattr(got, "zero_point"):
            return f"got {type(got).__name__}, expected an Int8 tensor"
        return (_compare_arrays(want.data, np.asarray(got.data), {"mode": "shape"})
                or _compare_parameters(want, got, spec) or _compare_arrays(want.data, np.asarray(got.data), spec))
    if hasattr(got, "zero_point"):
        return "got an Int8 tensor, expected a plain one"
    return _compare_arrays(want, np.asarray(got), spec)


def _compare_strings(want: list[bytes], got: Any) -> str:
    found = [g if isinstance(g, bytes) else str(g).encode() for g in np.asarray(got, dtype=object).ravel()]
    return "" if found == want else f"got strings {found[:3]}, expected {want[:3]}"


def _compare_parameters(want: Int8, got: Any, spec: dict[str, Any]) -> str:
    mode, scale, zero_point = spec["mode"], np.float32(got.scale), int(got.zero_point)
    if mode == "exact":
        same = scale == want.scale and zero_point == want.zero_point
    else:
        same = mode == "shape" or (
            abs(float(scale) - float(want.scale)) <= spec.get("scale_rtol", 1e-5) * abs(float(want.scale))
            and abs(zero_point - want.zero_point) <= spec.get("zp_tol", 1))
    found, expected = f"scale {scale!r}, zero point {zero_point}", f"{want.scale!r}, {want.zero_point}"
    return "" if same else f"got {found}; expected {expected}"


def _compare_arrays(want: np.ndarray, got: np.ndarray, spec: dict[str, Any]) -> str:
    if want.shape != got.shape:
        return f"got shape {got.shape}, expected {want.shape}"
    if want.dtype != got.dtype:
        return f"got {got.dtype}, expected {want.dtype}"
    mode = spec["mode"]
    if mode == "shape" or want.size == 0:
        return ""
    if mode == "exact":
        off = ~((want == got) | (np.not_equal(want, want) & np.not_equal(got, got)))
    elif mode == "lsb":
        off = np.abs(want.astype(np.int64) - got.astype(np.int64)) > spec.get("tol", 1)
    elif mode == "close":
        off = ~np.isclose(got.astype(np.float64), want.astype(np.float64), spec["rtol"], spec["atol"], equal_nan=True)
    else:
        raise ValueError(f"unknown way to compare: {mode!r}")
    return _describe(want, got, off) if off.any() else ""


def _describe(want: np.ndarray, got: np.ndarray, off: np.ndarray) -> str:
    """How many elements are off, and the first of them."""
    first = tuple(int(i) for i in np.argwhere(off)[0])
    differ = f"{int(off.sum())} of {off.size} elements differ"
    return f"{differ}, first at {first}: got {got[first]!r}, expected {want[first]!r}"


def operators(net: bytes) -> list[tuple[str, str]]:
    """(type, engine) of every operator of a serialized NetDef."""
    ops = []
    for number, message in _fields(net):
        if number == 2:  # NetDef.op
            fields = dict(_fields(message))
            ops.append((fields.get(4, b"").decode(), fields.get(7, b"").decode()))  # OperatorDef.type, .engine
    return ops


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, payload) of the length-delimited fields of a protobuf message; the others are skipped."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(message, at)
        elif wire == 2:
            size, at = _varint(message, at)
            yield tag >> 3, message[at:at + size]
            at += size
        else:
            at += {1: 8, 5: 4}[wire]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at this place, and the place after it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
