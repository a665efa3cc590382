"""Strings, and hashes of integers: the default engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.text import schema  # noqa: F401
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class Strings(PythonOperator):
    """Base: something of every string."""

    takes: Any = "string"

    def of(self, text: bytes) -> Any:
        raise NotImplementedError

    def mapped(self, strings: np.ndarray, kind: Any) -> np.ndarray:
        made = np.empty(strings.shape, kind)
        made.reshape(-1)[...] = [self.of(text) for text in strings.reshape(-1)]
        return made


class Parts(Strings):
    def setup(self) -> None:
        if self.args.length < 0:
            raise ArgumentError(f"argument length is {self.args.length}; expected 0 or more")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0] = self.mapped(inputs[0], object)


@register("StringPrefix")
class StringPrefix(Parts):
    def of(self, text: bytes) -> bytes:
        return text[: self.args.length]


@register("StringSuffix")
class StringSuffix(Parts):
    def of(self, text: bytes) -> bytes:
        return text[max(len(text) - self.args.length, 0) :]


class Tests(Strings):
    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.BOOL, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0][...] = self.mapped(inputs[0], bool)


@register("StringStartsWith")
class StringStartsWith(Tests):
    def of(self, text: bytes) -> bool:
        return text.startswith(self.args.prefix)


@register("StringEndsWith")
class StringEndsWith(Tests):
    def of(self, text: bytes) -> bool:
        return text.endswith(self.args.suffix)


@register("StringEquals")
class StringEquals(Tests):
    def of(self, text: bytes) -> bool:
        return text == self.args.text


def _as_text(kind: np.dtype) -> Callable[[Any], bytes]:
    """How a C++ stream writes a number: six digits of a float, a bool as 0 or 1."""
    if kind.kind == "O":
        return lambda value: value
    if kind.kind == "f":
        return lambda value: f"{float(value):.6g}".encode()
    return lambda value: str(int(value)).encode()


@register("StringJoin")
class StringJoin(PythonOperator):
    takes = "string|float|double|int32|int64|bool|uint8|int16|uint16"

    def setup(self) -> None:
        if self.args.axis not in (0, 1):
            raise ArgumentError(f"argument axis is {self.args.axis}; expected 0 or 1")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0]
        if x.ndim not in (1, 2):
            raise ShapeError(f'input 0 "{self.inputs[0]}" has {x.ndim} dimensions; expected 1 or 2')
        if not x.size:
            raise ShapeError(f'input 0 "{self.inputs[0]}" has no elements')
        rows = x.reshape(len(x), -1)
        if self.args.axis == 1 and x.ndim == 2:
            rows = rows.T
        write, end = _as_text(x.dtype), self.args.delimiter
        made = np.empty(len(rows), object)
        made[:] = [b"".join(write(value) + end for value in row) for row in rows]
        outputs[0] = made


@register("IndexHash")
class IndexHash(PythonOperator):
    takes = "int32|int64"

    def setup(self) -> None:
        self.modulo = self.definition.arguments.int("modulo", 0, bits=64)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if self.modulo <= 0:  # here, since shapes and types can be told without it
            raise ArgumentError(f"argument modulo is {self.modulo}; expected more than 0")
        return super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = np.ascontiguousarray(inputs[0])
        kind = x.dtype.type
        if self.modulo > np.iinfo(kind).max:
            raise ArgumentError(f"argument modulo is {self.modulo}, which does not fit {x.dtype}")
        with np.errstate(over="ignore"):
            hashed = np.full(x.shape, np.array(0xDEADBEEF * self.args.seed & (2**64 - 1), np.uint64).astype(kind))
            for byte in np.moveaxis(x.view(np.int8).reshape(*x.shape, x.dtype.itemsize), -1, 0):
                hashed = hashed * kind(65537) + byte.astype(kind)
        # Python's remainder is never negative where the divisor is not, as the twofold one of C++.
        outputs[0][...] = hashed % kind(self.modulo)


@register("KeySplit")
class KeySplit(PythonOperator):
    takes = "int32|int64"

    def setup(self) -> None:
        if self.args.categorical_limit != len(self.outputs):
            raise ArgumentError(
                f"categorical_limit is {self.args.categorical_limit}, but there are {len(self.outputs)} outputs"
            )

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        keys = inputs[0].reshape(-1)
        wrong = keys[(keys < 0) | (keys >= len(outputs))]
        if wrong.size:
            raise ArgumentError(f"element {wrong[0]} is none of 0 to {len(outputs) - 1}")
        for k in range(len(outputs)):
            outputs[k] = np.flatnonzero(keys == k).astype(np.int32)
