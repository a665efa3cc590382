"""What is known of a blob before it has values."""

from __future__ import annotations

import math
from typing import Any

from serverquant.blobs import dtypes

EMPTY, TENSOR, INT8, OBJECT = 0, 1, 2, 3
MAX_DIMS = 16


class Spec:
    """Kind, data type and shape of a blob; `value` when it is known while planning (small integer tensors).

    kind: TENSOR (dtype, dims), INT8 (dtype uint8, int32 or uint16; scale and zero point live in the blob), OBJECT
    (anything else, such as packed weights), EMPTY (nothing was written yet).
    """

    __slots__ = ("_value", "dims", "dtype", "kind")

    def __init__(self, dims: tuple[int, ...], dtype: int = dtypes.FLOAT, kind: int = TENSOR, value: Any = None):
        self.dims, self.dtype, self.kind = dims, dtype, kind
        self._value = value

    @property
    def value(self) -> Any:
        """A numpy array when the values are known while planning, else None."""
        return self._value

    def peek(self) -> Any:
        """The values of a small tensor of any type but strings, for an operator that plans by them; None if they are
        not known. (`value` tells integers only: floats are data as a rule.)"""
        return self.value

    @property
    def follows(self) -> bool:
        """Whether the value follows from shapes alone: reading it makes the plan depend on nothing else."""
        return self._value is not None

    @property
    def ndim(self) -> int:
        return len(self.dims)

    @property
    def size(self) -> int:
        return math.prod(self.dims)

    @property
    def nbytes(self) -> int:
        """Bytes of the values; 0 for what is no tensor."""
        return self.size * dtypes.NUMPY[self.dtype].itemsize if self.kind in (TENSOR, INT8) else 0

    @property
    def is_float(self) -> bool:
        return self.kind == TENSOR and self.dtype == dtypes.FLOAT

    @property
    def is_int8(self) -> bool:
        return self.kind == INT8

    def same_type(self, other: Spec) -> bool:
        """Whether dims, data type and kind are the same."""
        return (self.dims, self.dtype, self.kind) == (other.dims, other.dtype, other.kind)

    def with_dims(self, dims: tuple[int, ...]) -> Spec:
        """The same type in another shape."""
        return Spec(dims, self.dtype, self.kind)

    def __repr__(self) -> str:
        if self.kind == EMPTY:
            return "empty"
        if self.kind == OBJECT:
            return "object"
        dims = "x".join(map(str, self.dims)) or "scalar"
        return f"{'Int8 ' if self.kind == INT8 else ''}{dtypes.name(self.dtype)} {dims}"
