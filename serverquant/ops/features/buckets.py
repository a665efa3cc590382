"""Numbers to buckets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.lengths.check import checked, starts, within
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class Buckets(PythonOperator):
    """Floats in, int32 out."""

    takes: str | tuple[str, ...] = "float"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT32, TENSOR


@register("Bucketize")
class Bucketize(Buckets):
    """Boundaries less than each element. NaN is in bucket 0, as in Caffe2."""

    def setup(self) -> None:
        self.boundaries = np.array(self.args.boundaries, np.float32)
        if (self.boundaries[1:] < self.boundaries[:-1]).any():
            raise ArgumentError(f"argument boundaries {self.args.boundaries} must not decrease")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        found = np.searchsorted(self.boundaries, inputs[0])
        outputs[0][...] = np.where(np.isnan(inputs[0]), 0, found)


@register("BatchBucketize")
class BatchBucketize(Buckets):
    """The first boundary that a feature does not exceed."""

    takes = ("float", "int32", "float", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        features, indices, boundaries, lengths = inputs
        counts = checked(lengths, boundaries.size)
        begins = starts(counts)
        for k, column in enumerate(within(indices, features.shape[1])):
            own = boundaries[begins[k] : begins[k] + counts[k]]
            fits = np.concatenate([features[:, column, None] <= own, np.ones((len(features), 1), bool)], 1)
            outputs[0][:, k] = fits.argmax(1)


@register("NGramFromCategorical")
class NGramFromCategorical(PythonOperator):
    """Values of columns as digits of one number."""

    takes = "float"

    def setup(self) -> None:
        limits, values = self.args.categorical_limits, self.args.vals
        if not self.args.col_ids or min(self.args.col_ids) < 0:
            raise ArgumentError(f"argument col_ids {self.args.col_ids} must name columns, none of them negative")
        if len(limits) != len(self.args.col_ids) or min(limits) <= 0 or sum(limits) != len(values):
            raise ArgumentError(
                f"argument categorical_limits {limits} must have a positive number for each of the "
                f"{len(self.args.col_ids)} columns, which add up to the {len(values)} numbers in vals"
            )
        self.digits: list[dict[int, int]] = []
        base, begin = 1, 0
        for limit in limits:
            self.digits.append({v: place * base for place, v in enumerate(values[begin : begin + limit])})
            base, begin = base * limit, begin + limit

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        features = inputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))
        if features.shape[1] <= max(self.args.col_ids):
            raise ShapeError(f"features have {features.shape[1]} columns, but col_ids names {max(self.args.col_ids)}")
        outputs[0][...] = 0
        for column, digits in zip(self.args.col_ids, self.digits):
            x = features[:, column]
            whole = np.copysign(np.floor(np.abs(x.astype(np.float64)) + 0.5), x)  # halves away from zero
            for value, digit in digits.items():
                outputs[0][whole == value] += digit


@register("SparseNormalize", "Float16SparseNormalize")
class SparseNormalize(PythonOperator):
    """Rows scaled to a norm."""

    def setup(self) -> None:
        if self.args.norm < 0:
            raise ArgumentError(f"argument norm is {self.args.norm}; it must not be negative")

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "float16" if self.type.startswith("Float16") else "float")
        self.expect(ins, 1, "int32", "int64")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0][...] = inputs[0]
        rows = outputs[0].reshape(len(inputs[0]), math.prod(inputs[0].shape[1:]))
        left = within(inputs[1].ravel(), len(inputs[0]))
        while left.size and rows.size:  # a row that is named twice is scaled twice
            now, at = np.unique(left, return_index=True)
            left = np.delete(left, at)
            wide = rows[now].astype(np.float32)
            norm = np.sqrt(np.add.accumulate(wide * wide, axis=1)[:, -1]) + np.float32(1e-12)
            scale = (np.float32(self.args.norm) / norm).astype(rows.dtype).astype(np.float32)
            if self.args.use_max_norm:
                keep = norm >= np.float32(self.args.norm)
                now, wide, scale = now[keep], wide[keep], scale[keep]
            rows[now] = (wide * scale[:, None]).astype(rows.dtype)
