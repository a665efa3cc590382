"""A tensor as Caffe2's Python operators see it: an object that writes through to its blob."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serverquant._base.errors import DTypeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, OBJECT


class TensorView:
    """The tensor in a blob.

    data: its values as an array over the blob's own memory; writing to it writes to the blob. A tensor that was only
        given a shape gets float values.
    """

    __slots__ = ("_blob", "_dims")

    def __init__(self, blob: Blob):
        self._blob = blob
        self._dims: tuple[int, ...] | None = None  # a shape that has no type yet

    @property
    def shape(self) -> tuple[int, ...]:
        return self._blob.dims if self._dims is None else self._dims

    _shape = shape

    @property
    def data(self) -> np.ndarray:
        if self._dims is not None or self._blob.kind == EMPTY:
            self.init(self._dims or (0,), dtypes.FLOAT)
        return self._blob.view()

    def reshape(self, dims: Sequence[int]) -> None:
        """Give it a shape; the values are kept where there are as many as before."""
        if self._blob.kind in (EMPTY, OBJECT) or self._blob.spec().dtype == dtypes.STRING:
            self._dims = tuple(int(d) for d in dims)
        else:
            spec = self._blob.spec()
            self._blob.resize(tuple(int(d) for d in dims), spec.dtype, spec.kind)

    def init(self, dims: Sequence[int], dtype: int) -> np.ndarray:
        """Give it a shape and a TensorProto.DataType; returns its values, which are whatever was there."""
        if dtype == dtypes.STRING:
            raise DTypeError("a tensor of strings cannot be made without its values; feed them")
        self._dims = None
        self._blob.resize(tuple(int(d) for d in dims), dtype)
        return self._blob.view()

    def feed(self, value: Any) -> None:
        """Take a copy of an array."""
        self._dims = None
        self._blob.feed(value)

    def fetch(self) -> Any:
        """A copy of its values."""
        return self._blob.fetch()

    def __repr__(self) -> str:
        return f"<tensor {self._blob.name!r}: {self._blob.spec()!r}>"
