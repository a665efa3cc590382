"""Operators whose body is one numpy function of the inputs, and the checks that such bodies share."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.runtime.operator import PythonOperator

INDEX = ("int32", "int64")


class Arrays(PythonOperator):
    """`compute(*inputs)` returns the output, or a list of them.

    types: the outputs' data types; None: that of input 0.
    accepts: the words of `expect` for each input, the last one's for all that follow; () for any plain tensor.
    """

    types: tuple[int | None, ...] = (None,)
    accepts: tuple[tuple[str, ...], ...] = ((),)

    def check_types(self, ins: list[Spec]) -> None:
        for i, spec in enumerate(ins):
            words = self.accepts[min(i, len(self.accepts) - 1)]
            if words:
                self.expect(ins, i, *words)
            elif spec.kind != TENSOR:
                self.expect(ins, i, *INDEX, "float", "double", "string")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return self.types[i] or ins[0].dtype, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        found = self.compute(*inputs)
        outputs[:] = found if isinstance(found, list) else [found]

    def compute(self, *inputs: Any) -> Any:
        raise NotImplementedError


def check_indices(indices: np.ndarray, dim: int, what: str = "index") -> None:
    """ShapeError unless all are in 0..dim-1."""
    bad = (indices < 0) | (indices >= dim)
    if bad.any():
        place = int(np.argmax(bad.ravel()))
        raise ShapeError(f"{what} {indices.ravel()[place]} at position {place} is out of range; there are {dim}")


def check_dims(array: np.ndarray, ndim: int, what: str) -> None:
    """ShapeError unless the array has so many dimensions."""
    if array.ndim != ndim:
        raise ShapeError(f"{what} must have {ndim} dimension{'s' if ndim > 1 else ''}, not shape {array.shape}")


def check_lengths(lengths: np.ndarray, total: int, what: str) -> None:
    """ShapeError unless the lengths are a vector of numbers not below 0 that add up to `total`."""
    check_dims(lengths, 1, "lengths")
    if lengths.min(initial=0) < 0:
        raise ShapeError(f"length {lengths.min()} is negative")
    if int(lengths.sum()) != total:
        raise ShapeError(f"the lengths add up to {int(lengths.sum())}, but there are {total} {what}")
