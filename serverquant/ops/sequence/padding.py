"""Rows around ranges of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, NetError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._types import NUMBERS, expect_plain
from serverquant.ops.lengths.check import checked, places, starts, within
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class Padding(PythonOperator):
    """What the padding operators share: how many rows stand before and after each range."""

    takes_types: tuple[str, ...] = (*NUMBERS, "bool")

    def setup(self) -> None:
        self.before, self.after = self.args.padding_width, self.args.end_padding_width
        if self.before < 0:
            raise ArgumentError(f"argument padding_width is {self.before}; it must not be negative")
        if self.after < 0:
            self.after = self.before

    def check_types(self, ins: list[Spec]) -> None:
        if self.before + self.after:
            self.expect(ins, 0, *self.takes_types)
        else:
            expect_plain(self, ins, 0)
        for i in range(1, len(ins)):
            self.expect(ins, i, "int32" if i == 1 else dtypes.name(ins[0].dtype))

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.INT32 if i else ins[0].dtype), TENSOR

    def lengths(self, inputs: list[Any]) -> np.ndarray:
        rows = inputs[0].shape[0]
        return checked(inputs[1] if len(inputs) > 1 else np.array([rows]), rows)

    def padded(self, inputs: list[Any]) -> np.ndarray:
        """Lengths that have room for the padding."""
        lengths = self.lengths(inputs)
        both = self.before + self.after
        if lengths.size and lengths.min() < both:
            at = int(np.flatnonzero(lengths < both)[0])
            raise ShapeError(f"length {lengths[at]} at position {at} is less than the padding, {both} rows")
        return lengths


@register("AddPadding")
class AddPadding(Padding):
    """Rows put around ranges."""

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        data, lengths = inputs[0], self.lengths(inputs)
        longer = lengths + self.before + self.after
        first = starts(longer)
        out = np.zeros((int(longer.sum()), *data.shape[1:]), data.dtype)
        out[places(first + self.before, lengths)] = data
        if len(inputs) > 2:
            wide = np.full_like(lengths, self.before), np.full_like(lengths, self.after)
            out[places(first, wide[0])] = inputs[2].reshape(data.shape[1:])
            out[places(first + self.before + lengths, wide[1])] = inputs[-1].reshape(data.shape[1:])
        outputs[0] = out
        if len(outputs) > 1:
            outputs[1][...] = longer


@register("RemovePadding")
class RemovePadding(Padding):
    """Rows taken from around ranges."""

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        lengths = self.padded(inputs)
        shorter = lengths - self.before - self.after
        outputs[0] = inputs[0][places(starts(lengths) + self.before, shorter)]
        if len(outputs) > 1:
            outputs[1][...] = shorter


@register("GatherPadding")
class GatherPadding(Padding):
    """Sums of the rows around ranges, in their order."""

    takes_types = NUMBERS

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (ins[0].dtype if self.before + self.after else dtypes.INT64), TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if self.before + self.after == 0:  # as in Caffe2
            for out in outputs:
                out[...] = 0
            return
        lengths = self.padded(inputs)
        wide = np.full_like(lengths, self.before), np.full_like(lengths, self.after)
        first = places(starts(lengths), wide[0])
        last = places(starts(lengths) + lengths - self.after, wide[1])
        wanted = [first, last] if len(outputs) == 2 else [np.sort(np.concatenate([first, last]))]
        for i, where in enumerate(wanted):
            rows = inputs[0][where]
            # Accumulating keeps the order of the rows; a plain sum pairs them.
            outputs[i][...] = np.add.accumulate(rows, axis=0)[-1] if len(rows) else 0


@register("RemoveDataBlocks")
class RemoveDataBlocks(PythonOperator):
    """Rows without those that indices name."""

    def check_types(self, ins: list[Spec]) -> None:
        expect_plain(self, ins, 0)
        expect_plain(self, ins, 1)
        if ins[1].size:  # no indices may be of any type
            self.expect(ins, 1, "int32", "int64")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        data = inputs[0]
        keep = np.ones(data.shape[0], bool)
        keep[within(inputs[1], data.shape[0])] = False
        outputs[0] = data[keep]


@register("PadEmptySamples")
class PadEmptySamples(PythonOperator):
    """A row for each empty range."""

    def setup(self) -> None:
        if len(self.inputs) != len(self.outputs):
            n = len(self.inputs)
            raise NetError(f"PadEmptySamples has as many outputs as inputs, {n}, not {len(self.outputs)}")

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "int32")
        for i in range(1, len(ins)):
            expect_plain(self, ins, i)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        lengths = checked(inputs[0])
        longer = np.maximum(lengths, 1)
        where = places(starts(longer), lengths)
        outputs[0] = longer.astype(np.int32)
        for i, feature in enumerate(inputs[1:], 1):
            checked(lengths, feature.shape[0])
            empty = b"" if feature.dtype == object else 0
            outputs[i] = np.full((int(longer.sum()), *feature.shape[1:]), empty, feature.dtype)
            outputs[i][where] = feature
