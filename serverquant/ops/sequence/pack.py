"""Sequences as rectangles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._types import expect_plain
from serverquant.ops.lengths.check import checked, padded_size, places, starts
from serverquant.ops.sequence import _pack
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register


class Segments(Operator):
    """Lengths, then data of any type."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "int32", "int64")
        expect_plain(self, ins, 1)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.BOOL if i else ins[1].dtype), TENSOR


@register("PackSegments")
class PackSegments(Segments):
    """Each segment in a plane of its own."""

    def setup(self) -> None:
        if self.args.max_length < -1:
            raise ArgumentError(f"argument max_length is {self.args.max_length}; it must be -1 or more")
        if len(self.outputs) != 1 + bool(self.args.return_presence_mask):
            raise ArgumentError("PackSegments has two outputs with return_presence_mask=1, and one without")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[1].dtype == dtypes.STRING:
            return PythonStep(self._pack_strings)
        lowest = bool(self.args.pad_minf) and ins[1].dtype == dtypes.FLOAT
        return _pack.pack_step(self.args.max_length, lowest)

    def _pack_strings(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        data = inputs[1].view()
        lengths = checked(inputs[0].view(), data.shape[0])
        columns = self.args.max_length
        if columns < 0:
            columns = padded_size(lengths, len(data), math.prod(data.shape[1:]))
        packed = np.full((lengths.size, columns, *data.shape[1:]), b"", object)
        kept = np.minimum(lengths, columns)
        mask = np.arange(columns) < kept[:, None]
        packed[mask] = data[places(starts(lengths), kept)]
        outputs[0].feed(packed)
        if len(outputs) > 1:
            outputs[1].feed(mask)


@register("UnpackSegments")
class UnpackSegments(Segments):
    """The rows of packed segments."""

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[1].dtype == dtypes.STRING:
            return PythonStep(self._unpack_strings)
        return _pack.unpack_step(self.args.max_length >= 0)

    def _unpack_strings(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        data, lengths = inputs[1].view(), checked(inputs[0].view())
        if lengths.max(initial=0) > data.shape[1] and self.args.max_length < 0:
            raise ShapeError(f"a length is {lengths.max()}, but segments have {data.shape[1]} rows")
        outputs[0].feed(data[np.arange(data.shape[1]) < lengths[:, None]])


@register("PackRNNSequence")
class PackRNNSequence(PythonOperator):
    """Sequences side by side."""

    takes = ("float|double|int32|int64", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        values, lengths = inputs[0], checked(inputs[1], inputs[0].shape[0])
        longest = padded_size(lengths, len(values), math.prod(values.shape[1:]))
        packed = np.zeros((longest, lengths.size, *values.shape[1:]), values.dtype)
        packed[places(np.zeros_like(lengths), lengths), np.repeat(np.arange(lengths.size), lengths)] = values
        outputs[0] = packed


@register("UnpackRNNSequence")
class UnpackRNNSequence(PythonOperator):
    """Sequences one behind the other."""

    takes = ("float|double|int32|int64", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        values, lengths = inputs[0], checked(inputs[1])
        if lengths.max(initial=0) > values.shape[0]:
            raise ShapeError(f"a length is {lengths.max()}, but sequences have {values.shape[0]} rows")
        outputs[0] = values[places(np.zeros_like(lengths), lengths), np.repeat(np.arange(lengths.size), lengths)]


@register("VariableLengthSequencePadding")
class VariableLengthSequencePadding(PythonOperator):
    """0 behind the end."""

    takes = ("float", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0][...] = inputs[0]
        outputs[0][np.arange(inputs[0].shape[0])[:, None] >= checked(inputs[1])] = 0
