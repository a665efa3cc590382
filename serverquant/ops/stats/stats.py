"""Counters by name."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, DTypeError, OperatorError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT, Spec
from serverquant.ops._types import NUMBERS, expect_plain
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

LARGEST, LEAST = (1 << 63) - 1, -(1 << 63)


class StatRegistry:
    """Counters of 64 bits, which wrap; names are bytes. Safe among threads."""

    def __init__(self) -> None:
        self._counters: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def add(self, changes: dict[bytes, int]) -> None:
        with self._lock:
            for name, value in changes.items():
                total = self._counters.get(name, 0) + value
                self._counters[name] = (total - LEAST) % (1 << 64) + LEAST

    def export(self, reset: bool) -> dict[bytes, int]:
        with self._lock:
            found = dict(self._counters)
            if reset:
                self._counters = dict.fromkeys(found, 0)
        return found

    def __repr__(self) -> str:
        return f"<StatRegistry of {len(self._counters)} counters>"


THE_PROCESS = StatRegistry()


@register("StatRegistryCreate")
class StatRegistryCreate(PythonOperator):
    """A new registry."""

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        outputs[0].feed_object(StatRegistry())


class Registry(PythonOperator):
    """handle: which input may hold the registry."""

    handle = 0

    def registry(self, inputs: list[Any]) -> StatRegistry:
        return inputs[self.handle] if len(inputs) > self.handle else THE_PROCESS

    def check_types(self, ins: list[Spec]) -> None:
        if len(ins) > self.handle and ins[self.handle].kind != OBJECT:
            found = self.input_text(ins, self.handle)
            raise DTypeError(f"{found} cannot be used; expected what StatRegistryCreate makes")


@register("StatRegistryUpdate")
class StatRegistryUpdate(Registry):
    """Adds to counters."""

    handle = 2

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 0, "string")
        self.expect(ins, 1, "int64")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        keys, values = inputs[0].ravel(), inputs[1].ravel()
        if keys.size != values.size:
            raise ShapeError(f"there are {keys.size} keys and {values.size} values")
        registry = self.registry(inputs)
        for key, value in zip(keys, values.tolist()):
            registry.add({bytes(key): value})


@register("StatRegistryExport")
class StatRegistryExport(Registry):
    """All counters."""

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        found = self.registry(inputs).export(bool(self.args.reset))
        outputs[0] = np.array([*found, None], object)[:-1]
        outputs[1] = np.array(list(found.values()), np.int64)
        outputs[2] = np.full(len(found), time.time_ns(), np.int64)


class Put(PythonOperator):
    """One value for counters of the process's registry; `changes` says which."""

    def setup(self) -> None:
        name = self.args.stat_name
        self.name = (self.inputs[0] if name is None else name) + "/stat_value"
        self.expand = self.definition.arguments.int("magnitude_expand", 1, bits=64)
        if self.expand == 0:
            raise ArgumentError("argument magnitude_expand is 0")
        self.first: int | None = None

    def check_types(self, ins: list[Spec]) -> None:
        expect_plain(self, ins, 0)
        if ins[0].dtype in (dtypes.STRING, dtypes.BOOL):
            self.expect(ins, 0, *NUMBERS)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        value = self._value(inputs[0])
        THE_PROCESS.add({f"{self.name}{end}".encode(): change for end, change in self.changes(value).items()})

    def _value(self, x: np.ndarray) -> int:
        """The first element, expanded, as a whole number."""
        if not x.size and self.args.default_value is None:
            raise OperatorError("the input is empty; argument default_value says what counts then")
        value = x.ravel()[0] if x.size else np.float32(self.args.default_value)
        expand = self.expand
        limit = LARGEST // abs(expand)
        if np.isnan(value):
            if not self.args.bound:
                raise OperatorError("the value is not a number")
            return 0
        if abs(float(value)) >= limit:
            if not self.args.bound:
                raise OperatorError(f"the value {value} is too large for magnitude_expand {expand}")
            return LEAST if value < 0 else LARGEST
        if x.dtype.kind != "f":
            return int(value) * expand
        wide = np.promote_types(x.dtype, np.float32).type
        return int(wide(value) * wide(expand))

    def changes(self, value: int) -> dict[str, int]:
        raise NotImplementedError


@register("IncrementPut")
class IncrementPut(Put):
    """One counter."""

    def changes(self, value: int) -> dict[str, int]:
        return {"": value}


@register("AveragePut")
class AveragePut(Put):
    """Sum and count."""

    def changes(self, value: int) -> dict[str, int]:
        return {"/sum": value, "/count": 1}


@register("StdDevPut")
class StdDevPut(AveragePut):
    """Sum, count, and sums of distances from the first value, which do not lose digits."""

    def changes(self, value: int) -> dict[str, int]:
        if self.first is None:
            self.first = value
        away = value - self.first
        return {**super().changes(value), "/sumoffset": away, "/sumsqoffset": away * away}
