"""What lengths and ids say in other words, and rows by lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._types import expect_plain
from serverquant.ops.lengths.check import ELEMENTS_MAX, bounded, checked, places, starts, within
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class OfLengths(PythonOperator):
    """One vector of lengths in, one of int32 out: `of` computes it."""

    takes = "int32"
    lengths_at = 0

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT32, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        found = np.asarray(self.of(checked(inputs[0])), np.int32)
        if outputs[0] is None or outputs[0].shape != found.shape:
            outputs[0] = found
        else:
            outputs[0][...] = found

    def of(self, lengths: np.ndarray) -> Any:
        raise NotImplementedError


@register("LengthsToSegmentIds")
class LengthsToSegmentIds(OfLengths):
    """The number of its range for each element."""

    def of(self, lengths: np.ndarray) -> Any:
        return np.repeat(np.arange(lengths.size), bounded(lengths))


@register("LengthsToRanges")
class LengthsToRanges(OfLengths):
    """Start and length of each range."""

    def of(self, lengths: np.ndarray) -> Any:
        return np.stack([starts(lengths), lengths], 1)


@register("LengthsToOffsets")
class LengthsToOffsets(OfLengths):
    """Start of each range."""

    def of(self, lengths: np.ndarray) -> Any:
        return np.concatenate([[0], np.cumsum(lengths)])[: None if self.args.include_last_offset else -1]


@register("LengthsToShape")
class LengthsToShape(OfLengths):
    """Number and size of ranges of one size."""

    def of(self, lengths: np.ndarray) -> Any:
        if (lengths != lengths[0]).any():
            at = int(np.flatnonzero(lengths != lengths[0])[0])
            raise ShapeError(f"length {lengths[at]} at position {at} is not the first one's, {lengths[0]}")
        return lengths.size, lengths[0]


@register("LengthsRangeFill")
class LengthsRangeFill(OfLengths):
    """0, 1, ... for each range."""

    def of(self, lengths: np.ndarray) -> Any:
        return places(np.zeros_like(lengths), bounded(lengths))


@register("LengthsToWeights")
class LengthsToWeights(PythonOperator):
    """1 / length^power, in double, for each element."""

    takes = "int32|int64"
    lengths_at = 0

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        lengths = bounded(checked(inputs[0]))
        power = self.args.power
        with np.errstate(divide="ignore"):
            raised = np.sqrt(lengths) if power == 0.5 else lengths.astype(np.float64) ** np.float64(np.float32(power))
            outputs[0] = np.repeat((1.0 / raised).astype(np.float32), lengths)


class OfIds(PythonOperator):
    """Sorted segment ids in; counts for each segment out."""

    takes = ("int32|int64", "any")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        expect_plain(self, ins, len(ins) - 1)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT32, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        ids = inputs[0].ravel().astype(np.int64)
        down = np.flatnonzero(ids[1:] < ids[:-1])
        if ids.size and (ids[0] < 0 or down.size):
            at = int(down[0]) + 1 if down.size else 0
            raise ShapeError(f"segment id {ids[at]} at position {at}: ids are not negative, and never decrease")
        segments = int(ids[-1]) + 1 if ids.size else 0
        if len(inputs) > 1:
            if segments > inputs[1].shape[0]:
                raise ShapeError(f"segment id {segments - 1} is out of range for data of {inputs[1].shape[0]} rows")
            segments = inputs[1].shape[0]
        if segments > ids.size + ELEMENTS_MAX:
            raise ShapeError(f"segment id {segments - 1} would make an output of as many rows")
        found = self.of(ids, np.bincount(ids, minlength=segments))
        outputs[0] = np.ascontiguousarray(found, np.int32)

    def of(self, ids: np.ndarray, lengths: np.ndarray) -> Any:
        raise NotImplementedError


@register("SegmentIdsToLengths")
class SegmentIdsToLengths(OfIds):
    """How often each id occurs."""

    def of(self, ids: np.ndarray, lengths: np.ndarray) -> Any:
        return lengths


@register("SegmentIdsToRanges")
class SegmentIdsToRanges(OfIds):
    """Start and length of each segment. Those before the first id and behind the last start at 0, as in Caffe2."""

    def of(self, ids: np.ndarray, lengths: np.ndarray) -> Any:
        begin = starts(lengths)
        if ids.size:
            begin[ids[-1] + 1 :] = 0
        return np.stack([begin, lengths], 1)


# ---- rows ----------------------------------------------------------------------------------------------------------


@register("LengthsTile")
class LengthsTile(PythonOperator):
    """Rows repeated."""

    takes = ("any", "int32")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        expect_plain(self, ins, 0)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        lengths = bounded(checked(inputs[1]), math.prod(inputs[0].shape[1:]))
        outputs[0] = np.repeat(inputs[0], lengths, 0)


@register("LengthsGather")
class LengthsGather(PythonOperator):
    """Ranges of rows."""

    takes = ("any", "int32", "int32|int64")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        expect_plain(self, ins, 0)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        items, lengths = inputs[0], checked(inputs[1], inputs[0].shape[0])
        chosen = within(inputs[2], lengths.size)
        outputs[0] = items[places(starts(lengths)[chosen], lengths[chosen])]


@register("LengthsPad")
class LengthsPad(PythonOperator):
    """Rows behind each range."""

    takes = ("float|double|int32|int64", "int32")

    def setup(self) -> None:
        if self.args.target_length < 1:
            raise ArgumentError(f"argument target_length is {self.args.target_length}; it must be at least 1")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        data, target = inputs[0], self.args.target_length
        lengths = checked(inputs[1], data.shape[0])
        if lengths.size and lengths.max() > target:
            at = int(np.flatnonzero(lengths > target)[0])
            raise ShapeError(f"length {lengths[at]} at position {at} is more than target_length {target}")
        outputs[0][...] = np.float64(self.args.padding_value).astype(data.dtype)
        outputs[0][places(np.arange(lengths.size) * target, lengths)] = data


@register("LengthsTopK")
class LengthsTopK(PythonOperator):
    """The largest elements of each range."""

    takes = ("float", "int32")

    def setup(self) -> None:
        if self.args.k < 1:
            raise ArgumentError(f"argument k is {self.args.k}; it must be at least 1")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.INT32 if i else dtypes.FLOAT), TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        data, k = inputs[0].ravel(), self.args.k
        lengths = checked(inputs[1], data.size)
        ranges = np.repeat(np.arange(lengths.size), lengths)
        order = np.lexsort((np.arange(data.size), -data, ranges))
        rank = np.arange(data.size) - starts(lengths)[ranges]  # of the elements in `order`, which keeps ranges together
        kept = rank < k
        values, indices = outputs
        values[...], indices[...] = 0, -1
        at = ranges[kept], rank[kept]
        values[at] = data[order[kept]]
        indices[at] = order[kept] - starts(lengths)[ranges[kept]]


@register("LengthsSplit")
class LengthsSplit(PythonOperator):
    """Parts of each length."""

    takes = "int32"

    def setup(self) -> None:
        if len(self.inputs) == 1 and self.args.n_split <= 0:
            raise ArgumentError("needs a positive argument n_split, or a second input")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        parts = int(inputs[1][0]) if len(inputs) > 1 else self.args.n_split
        if parts <= 0 or parts * max(inputs[0].size, 1) > ELEMENTS_MAX:
            raise ArgumentError(f"n_split {parts} must be positive, and all parts fit {ELEMENTS_MAX} elements")
        lengths = checked(inputs[0])[:, None]
        outputs[0] = (lengths // parts + (np.arange(parts) < lengths % parts)).astype(np.int32).ravel()
