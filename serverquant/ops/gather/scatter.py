"""Operators that place, move or collect slices: numpy bodies, but for BatchPermutation."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._arrays import INDEX, Arrays, check_indices
from serverquant.ops._movement import Movement
from serverquant.ops.gather import _gather
from serverquant.ops.gather.schema_scatter import check_ranges
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of

MOVED = ("float", "float16", "double", *INDEX, "uint8")


@register("BatchPermutation")
class BatchPermutation(Movement):
    """Slices in another order."""

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 1, "int32")

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _gather.permutation_step()


@register("Scatter")
class Scatter(Arrays):
    """Updates at indices along an axis."""

    accepts = ((), INDEX, ())

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 2, dtypes.name(ins[0].dtype))

    def compute(self, *inputs: Any) -> Any:
        data, indices, updates = inputs
        axis = axis_of(self.args.axis, data.ndim)
        out = data.copy()
        if not data.size:
            return out
        check_indices(indices, data.shape[axis])
        np.put_along_axis(out, indices.astype(np.int64), updates, axis)
        return out


class InPlace(Arrays):
    """Changes input 0, which is the output too; `change(data, *others)` does it."""

    def setup(self) -> None:
        if self.inputs[0] != self.outputs[0]:
            raise ArgumentError(f'works in place: output 0 must be the blob of input 0, "{self.inputs[0]}"')

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        self.change(outputs[0], *inputs[1:])

    def change(self, data: np.ndarray, *others: np.ndarray) -> None:
        raise NotImplementedError


@register("ScatterAssign")
class ScatterAssign(InPlace):
    """Slices are overwritten."""

    accepts = (MOVED, INDEX, MOVED)

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 2, dtypes.name(ins[0].dtype))

    def change(self, data: np.ndarray, *others: np.ndarray) -> None:
        indices = others[0].ravel()
        check_indices(indices, len(data))
        data[indices] = others[1].reshape(len(indices), *data.shape[1:])


@register("CopyRowsToTensor")
class CopyRowsToTensor(InPlace):
    """Rows are overwritten with one row."""

    accepts = (MOVED[:-1], ("int64",), MOVED[:-1])

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 2, dtypes.name(ins[0].dtype))

    def change(self, data: np.ndarray, *others: np.ndarray) -> None:
        check_indices(others[0], len(data))
        data[others[0]] = others[1]


def check_pieces(ranges: np.ndarray, size: int) -> None:
    """ShapeError unless all (start, length) lie within `size` elements."""
    start, length = ranges[..., 0], ranges[..., 1]
    bad = (start < 0) | (length < 0) | (start > size - length)
    bad &= length != 0
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ShapeError(f"range {list(place)} takes {length[place]} elements from {start[place]} of {size}")


@register("GatherRanges")
class GatherRanges(Arrays):
    """Ranges one after the other."""

    accepts = ((), INDEX)
    types = (None, dtypes.INT32)

    def infer(self, ins: list[Spec]) -> list[Spec] | None:
        check_ranges(self, ins)
        return super().infer(ins)

    def compute(self, *inputs: Any) -> Any:
        data, ranges = inputs[0], inputs[1].astype(np.int64)
        check_pieces(ranges, len(data))
        pieces = [data[start : start + length] for start, length in ranges.reshape(-1, 2)]
        return [np.concatenate([data[:0], *pieces]), ranges[:, :, 1].sum(axis=1).astype(np.int32)]


@register("GatherRangesToDense")
class GatherRangesToDense(Arrays):
    """Every range into rows of its own output."""

    accepts = ((), INDEX, ("int64",))

    def setup(self) -> None:
        if not self.args.lengths or min(self.args.lengths) < 1:
            raise ArgumentError(f"argument lengths is {self.args.lengths}; it needs lengths of at least 1")
        if self.args.min_observation < 1:
            raise ArgumentError(f"argument min_observation is {self.args.min_observation}; it must be at least 1")
        self.seen = 0
        self.empty, self.mismatched = (np.zeros(len(self.args.lengths), np.int64) for _ in range(2))

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return ins[0].dtype, TENSOR

    def compute(self, *inputs: Any) -> Any:
        data, ranges, lengths = inputs[0], inputs[1].astype(np.int64), np.array(self.args.lengths)
        good = ranges[:, :, 1] == lengths
        check_pieces(np.where(good[:, :, None], ranges, 0), len(data))
        order = _sorted_within(inputs[2]) if len(inputs) == 3 else None
        outputs = []
        for j, length in enumerate(lengths):
            rows = np.zeros((len(ranges), length), data.dtype)
            at = ranges[good[:, j], j, :1] + np.arange(length)
            rows[good[:, j]] = data[at] if order is None else data[order(at)]
            outputs.append(rows)
        self._count(ranges[:, :, 1], good)
        return outputs

    def _count(self, lengths: np.ndarray, good: np.ndarray) -> None:
        """Too many empty or mismatched ranges since the net was made are an error."""
        self.seen += len(lengths)
        self.empty += (lengths == 0).sum(axis=0)
        self.mismatched += ((lengths != 0) & ~good).sum(axis=0)
        for what, counts, ratio in (
            ("another length", self.mismatched, self.args.max_mismatched_ratio),
            ("no elements", self.empty, self.args.max_empty_ratio),
        ):
            allowed = np.float32(max(self.seen, self.args.min_observation)) * np.float32(ratio)
            if ratio < 1 and counts.max() > allowed:
                worst = int(counts.argmax())
                raise ShapeError(f"{counts[worst]} of {self.seen} ranges of output {worst} had {what}; {ratio:g} may")


def _sorted_within(keys: np.ndarray) -> Any:
    """A function that sorts every row of indices by the keys there."""
    return lambda at: np.take_along_axis(at, np.argsort(keys[at], axis=1, kind="stable"), axis=1)


@register("ReversePackedSegs")
class ReversePackedSegs(Arrays):
    """First elements of segments turned around."""

    accepts = (("float", "double", *INDEX, "bool"), INDEX)

    def compute(self, *inputs: Any) -> Any:
        data, lengths = inputs
        places = len(data)
        if lengths.max(initial=0) > places:
            raise ShapeError(f"length {lengths.max()} is more than the {places} places of a segment")
        place = np.arange(places)[:, None]
        at = np.where(place < lengths, lengths - 1 - place, place)
        return np.take_along_axis(data, at[:, :, None], axis=0)
