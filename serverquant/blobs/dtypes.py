"""TensorProto.DataType numbers and their numpy types."""

from __future__ import annotations

import numpy as np

from serverquant._base.errors import DTypeError

FLOAT, INT32, BYTE, STRING, BOOL, UINT8, INT8, UINT16, INT16, INT64, FLOAT16, DOUBLE = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    12,
    13,
)

NUMPY: dict[int, np.dtype] = {
    FLOAT: np.dtype(np.float32),
    INT32: np.dtype(np.int32),
    BYTE: np.dtype(np.uint8),
    STRING: np.dtype(object),
    BOOL: np.dtype(np.bool_),
    UINT8: np.dtype(np.uint8),
    INT8: np.dtype(np.int8),
    UINT16: np.dtype(np.uint16),
    INT16: np.dtype(np.int16),
    INT64: np.dtype(np.int64),
    FLOAT16: np.dtype(np.float16),
    DOUBLE: np.dtype(np.float64),
}
NAMES = {
    FLOAT: "float",
    INT32: "int32",
    BYTE: "byte",
    STRING: "string",
    BOOL: "bool",
    UINT8: "uint8",
    INT8: "int8",
    UINT16: "uint16",
    INT16: "int16",
    INT64: "int64",
    FLOAT16: "float16",
    DOUBLE: "double",
}
_OF_NUMPY = {dtype: number for number, dtype in NUMPY.items() if number not in (BYTE, STRING)}


def from_numpy(dtype: np.dtype) -> int:
    """The DataType number of a numpy dtype; DTypeError for one that no tensor can hold."""
    number = _OF_NUMPY.get(dtype)
    if number is None:
        if dtype.kind in "OSU":
            return STRING
        known = ", ".join(sorted({str(d) for d in NUMPY.values()}))
        raise DTypeError(f"a tensor cannot hold numpy type {dtype}; it holds one of {known}")
    return number


def name(number: int) -> str:
    return NAMES.get(number, f"type {number}")
