"""Sparse values to dense tensors and back: numpy bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import Spec
from serverquant.ops._arrays import INDEX, Arrays, check_dims, check_indices, check_lengths
from serverquant.runtime.registry import register

MOST_COLUMNS = 1 << 31  # of a dense tensor whose size only an index tells


@register("SparseToDense")
class SparseToDense(Arrays):
    """Values are added up, in their order."""

    accepts = (INDEX, ("float", *INDEX), ())

    def setup(self) -> None:
        if len(self.inputs) == 3 and self.args.output_first_dim > 0:
            raise ArgumentError("argument output_first_dim and a third input cannot be given together")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return ins[1].dtype, ins[1].kind

    def compute(self, *inputs: Any) -> Any:
        indices, values = inputs[:2]
        if len(inputs) == 3:
            rows = len(inputs[2])
        else:
            rows = self.args.output_first_dim if self.args.output_first_dim > 0 else int(indices.max(initial=-1)) + 1
        check_indices(indices, rows)
        if rows * max(values[:1].size, 1) >= MOST_COLUMNS:
            raise ShapeError(f"index {rows - 1} asks for a dense tensor of {rows} slices")
        dense = np.zeros((rows, *values.shape[1:]), values.dtype)
        np.add.at(dense, indices, values)
        return dense


@register("SparseToDenseMask")
class SparseToDenseMask(Arrays):
    """Values sorted into columns by their ids."""

    accepts = (INDEX, (), (), ("int32",))

    def setup(self) -> None:
        mask = self.args.mask
        if not mask:
            raise ArgumentError("argument mask must not be empty")
        if min(mask) < 0 or len(set(mask)) < len(mask):
            raise ArgumentError("the ids in argument mask must be different and not negative")
        if self.args.return_presence_mask and len(self.outputs) != 2:
            raise ArgumentError("return_presence_mask=1 needs a second output")
        self.order = np.argsort(mask)
        self.sorted = np.array(mask, np.int64)[self.order]
        self.skipped = 0

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 2, dtypes.name(ins[1].dtype))

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.BOOL if i else ins[1].dtype), ins[1].kind

    def compute(self, *inputs: Any) -> Any:
        indices, values, default = inputs[:3]
        lengths = inputs[3] if len(inputs) == 4 else np.array([len(indices)])
        if len(inputs) == 4:
            check_lengths(lengths, len(indices), "indices")
        rows = np.repeat(np.arange(len(lengths)), lengths)
        bad = (indices < 0) | (indices == np.iinfo(indices.dtype).max)
        self._count_skipped(len(np.unique(rows[bad])))
        found = np.minimum(np.searchsorted(self.sorted, indices), len(self.sorted) - 1)
        known = (self.sorted[found] == indices) & ~bad
        at = rows[known], self.order[found[known]]
        dense = np.empty((len(lengths), len(self.sorted), *values.shape[1:]), values.dtype)
        dense[...] = default
        dense[at] = values[known]
        if len(inputs) == 3:
            dense = dense[0]
        return [dense, self._presence(dense.shape[: len(inputs) - 2], at)][: len(self.outputs)]

    def _count_skipped(self, rows: int) -> None:
        self.skipped += rows
        if self.skipped >= self.args.max_skipped_indices:
            raise ShapeError(f"{self.skipped} rows had ids that are negative or too large; max_skipped_indices is "
                             f"{self.args.max_skipped_indices}")  # fmt: skip

    def _presence(self, dims: tuple[int, ...], at: Any) -> np.ndarray:
        present = np.zeros(dims, bool)
        if self.args.return_presence_mask:
            present.reshape(-1, dims[-1])[at] = True
        return present


@register("BatchSparseToDense")
class BatchSparseToDense(Arrays):
    """Values of every row into their columns."""

    accepts = (("int64",), ("int64",), ("float",), ())
    types = (dtypes.FLOAT,)

    def compute(self, *inputs: Any) -> Any:
        lengths, indices, values = inputs[:3]
        width = inputs[3].shape[1] if len(inputs) == 4 else self.args.dense_last_dim
        check_lengths(lengths, len(indices), "indices")
        check_indices(indices, width, "column")
        dense = np.full((len(lengths), width), self.args.default_value, np.float32)
        dense[np.repeat(np.arange(len(lengths)), lengths), indices] = values.ravel()
        return dense


@register("BatchDenseToSparse")
class BatchDenseToSparse(Arrays):
    """Values of every row from their columns."""

    accepts = (("int64",), ("int64",), ("float",))
    types = (dtypes.FLOAT,)

    def compute(self, *inputs: Any) -> Any:
        lengths, indices, dense = inputs
        check_lengths(lengths, len(indices), "indices")
        check_indices(indices, dense.shape[1], "column")
        return dense[np.repeat(np.arange(len(lengths)), lengths), indices]


@register("DenseVectorToIdList")
class DenseVectorToIdList(Arrays):
    """Columns of what does not round to 0."""

    accepts = (("float",),)
    types = (dtypes.INT32, dtypes.INT32)

    def compute(self, *inputs: Any) -> Any:
        check_dims(inputs[0], 2, "the input")
        shifted = inputs[0].astype(np.float64) + 0.5
        found = ~((shifted > -1) & (shifted < 1))  # what a conversion to int makes 0; not a number is something else
        return [found.sum(axis=1).astype(np.int32), np.nonzero(found)[1].astype(np.int32)]


@register("Unique")
class Unique(Arrays):
    """Different elements, sorted."""

    accepts = (INDEX,)
    types = (None, dtypes.INT32)

    def compute(self, *inputs: Any) -> Any:
        check_dims(inputs[0], 1, "the input")
        if len(self.outputs) == 1:
            return np.unique(inputs[0])
        found, places = np.unique(inputs[0], return_inverse=True)
        return [found, places.astype(np.int32)]


@register("FindDuplicateElements")
class FindDuplicateElements(Arrays):
    """Places of what was there before."""

    accepts = (("float", "double", *INDEX, "string"),)
    types = (dtypes.INT64,)

    def compute(self, *inputs: Any) -> Any:
        check_dims(inputs[0], 1, "the input")
        seen: set[Any] = set()
        again = []
        for place, value in enumerate(inputs[0].tolist()):
            if value in seen:
                again.append(place)
            seen.add(value)
        return np.array(again, np.int64)
