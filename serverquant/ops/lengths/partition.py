"""Rows distributed over parts by their keys, and put together again."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import NetError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.ops._types import expect_plain
from serverquant.ops.lengths.check import checked
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class Parts(PythonOperator):
    """keys_at: which input holds the keys; those behind it are rows that go with them."""

    keys_at = 0

    def setup(self) -> None:
        if len(self.outputs) % len(self.inputs):
            n = len(self.inputs)
            raise NetError(f"{self.type} takes a multiple of {n} outputs for {n} inputs, not {len(self.outputs)}")
        self.parts = len(self.outputs) // len(self.inputs)

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, self.keys_at, "int32", "int64")
        for i in range(self.keys_at + 1, len(ins)):
            expect_plain(self, ins, i)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        keys = ins[self.keys_at]
        if keys.ndim < 1:
            raise self.shape_error(ins, self.keys_at, "1 or more dimensions")
        for i in range(self.keys_at + 1, len(ins)):
            if ins[i].dims[: keys.ndim] != keys.dims:
                raise self.shape_error(ins, i, f"the dimensions of the keys, {keys.dims}, in front")
        return super().plan(ins, outs)

    def distribute(self, inputs: list[Any], outputs: list[Any]) -> np.ndarray:
        """Fill the outputs of keys and rows; the part of each key."""
        keys = inputs[self.keys_at]
        part = keys.ravel() % self.parts
        packed = (keys.ravel() - part) // self.parts if self.args.pack_first_input else keys.ravel()
        columns = [packed, *(x.reshape(keys.size, *x.shape[keys.ndim :]) for x in inputs[self.keys_at + 1 :])]
        for p in range(self.parts):
            for i, rows in enumerate(columns):
                outputs[p * len(inputs) + self.keys_at + i] = rows[part == p]
        return np.asarray(part)


@register("Partition")
class Partition(Parts):
    """Keys over parts."""

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        self.distribute(inputs, outputs)


@register("LengthsPartition")
class LengthsPartition(Parts):
    """Keys in ranges over parts."""

    keys_at = 1

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 0, "int32")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[1].ndim != 1:
            raise self.shape_error(ins, 1, "1 dimension")
        return super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if self.parts == 1:  # a copy, which pack_first_input does not touch
            outputs[:] = [x.copy() for x in inputs]
            return
        lengths = checked(inputs[0].ravel(), inputs[1].size)
        part = self.distribute(inputs, outputs)
        ranges = np.repeat(np.arange(lengths.size), lengths)
        for p in range(self.parts):
            outputs[p * len(inputs)] = np.bincount(ranges[part == p], minlength=lengths.size).astype(np.int32)


@register("GatherByKey")
class GatherByKey(PythonOperator):
    """Rows of the parts in the order of the keys."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "int32", "int64")
        for i in range(1, len(ins)):
            expect_plain(self, ins, i)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[0].ndim != 1:
            raise self.shape_error(ins, 0, "1 dimension")
        for i in range(1, len(ins)):
            if ins[i].ndim < 1 or (ins[i].dims[1:], ins[i].dtype) != (ins[1].dims[1:], ins[1].dtype):
                raise self.shape_error(ins, i, f"rows like those of {self.inputs[1]}")
        return super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        keys, parts = inputs[0], inputs[1:]
        part = keys % len(parts)
        counts = np.bincount(part, minlength=len(parts))
        for p, rows in enumerate(parts):
            if counts[p] != rows.shape[0]:
                raise ShapeError(f"part {p} has {rows.shape[0]} rows, but {counts[p]} keys go there")
        found = np.empty((keys.size, *parts[0].shape[1:]), parts[0].dtype)
        for p, rows in enumerate(parts):
            found[part == p] = rows
        outputs[0] = found
