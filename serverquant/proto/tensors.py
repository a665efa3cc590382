"""TensorProto <-> numpy, each data type stored as Caffe2 stores it.

::

    data_type                                  field         numpy
    FLOAT                                      float_data    float32
    DOUBLE                                     double_data   float64
    INT32, INT8, INT16, UINT8, UINT16, BOOL    int32_data    the same, bool
    FLOAT16                                    int32_data    float16: the 16 bits as an unsigned number
    INT64                                      int64_data    int64
    STRING                                     string_data   object, of bytes
    BYTE                                       byte_data     uint8 (read only; uint8 is written as UINT8)

Read besides: byte_data in place of int32_data, which Caffe2 writes when asked to be compact, and raw_data. A large blob
may be stored as several TensorProtos, each with the whole dims and a segment of the flat elements: see `join`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from serverquant._base.errors import DTypeError, ParseError, ShapeError
from serverquant.proto import TensorProto

Array = np.ndarray[Any, Any]

# data type -> (field, dtype of the tensor, dtype that its elements have in the field)
_STORAGE: dict[int, tuple[str, Any, Any]] = {
    TensorProto.FLOAT: ("float_data", np.float32, np.float32),
    TensorProto.DOUBLE: ("double_data", np.float64, np.float64),
    TensorProto.INT32: ("int32_data", np.int32, np.int32),
    TensorProto.INT8: ("int32_data", np.int8, np.int8),
    TensorProto.INT16: ("int32_data", np.int16, np.int16),
    TensorProto.UINT8: ("int32_data", np.uint8, np.uint8),
    TensorProto.UINT16: ("int32_data", np.uint16, np.uint16),
    TensorProto.BOOL: ("int32_data", np.bool_, np.uint8),
    TensorProto.FLOAT16: ("int32_data", np.float16, np.uint16),
    TensorProto.INT64: ("int64_data", np.int64, np.int64),
    TensorProto.STRING: ("string_data", np.object_, np.object_),
    TensorProto.BYTE: ("byte_data", np.uint8, np.uint8),
}
_DATA_TYPES = {np.dtype(dtype): kind for kind, (_, dtype, _) in _STORAGE.items() if kind != TensorProto.BYTE}
_MAX_ELEMENTS = 1 << 62


def data_type(dtype: Any) -> int:
    """The TensorProto.DataType of a numpy dtype; text and byte strings are STRING. DTypeError if there is none."""
    dtype = np.dtype(dtype)
    if dtype.kind in "SUO":
        return int(TensorProto.STRING)
    if dtype not in _DATA_TYPES:
        known = ", ".join(str(d) for d in _DATA_TYPES)
        raise DTypeError(f"there is no tensor of {dtype}; tensors hold {known}")
    return _DATA_TYPES[dtype]


def numpy_dtype(kind: int) -> np.dtype[Any]:
    """The numpy dtype of a TensorProto.DataType. DTypeError for those that no tensor has."""
    if kind not in _STORAGE:
        names = {value.number: value.name for value in TensorProto.DESCRIPTOR.enum_types_by_name["DataType"].values}
        raise DTypeError(f"tensors of data type {names.get(kind, kind)} are not supported")
    return np.dtype(_STORAGE[kind][1])


def from_numpy(array: Any, name: str = "", segment: tuple[int, int] | None = None) -> TensorProto:
    """A TensorProto of an array of any shape; of its flat elements segment[0] to segment[1] only, if given.

    Strings (dtype object, S or U) are stored as bytes, text in UTF-8.
    """
    array = np.asarray(array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    kind = data_type(array.dtype)
    message = TensorProto(dims=array.shape, data_type=kind)
    if name:
        message.name = name
    flat = array.reshape(-1)
    if segment is not None:
        message.segment.begin, message.segment.end = segment
        flat = flat[segment[0] : segment[1]]
    field, _, stored = _STORAGE[kind]
    if kind == TensorProto.STRING:
        values: Any = [_to_bytes(value) for value in flat.tolist()]
    else:
        values = flat.view(stored).tolist()
    getattr(message, field).extend(values)
    return message


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise DTypeError(f"a string tensor holds a {type(value).__name__}; its elements must be bytes or str")


def to_numpy(message: Any) -> Array:
    """The array of a TensorProto of any runtime: a new array of its shape; strings as an object array of bytes.

    DTypeError for a data type that no tensor has, ShapeError where the number of values is not that of the dims,
    ParseError where the values are elsewhere or damaged. A message with a segment is a part: see `join`.
    """
    if message.HasField("segment") and _segment(message) != (0, _size(message)):
        raise ParseError(f"the tensor is a part, elements {_segment(message)} of {_size(message)}; join the parts")
    return _part(message, _size(message)).reshape(tuple(message.dims))


def join(messages: Sequence[Any]) -> Array:
    """The array whose segments the TensorProtos hold, in any order. ParseError where parts are missing or overlap."""
    if len(messages) == 1:
        return to_numpy(messages[0])
    if not messages:
        raise ParseError("there is no part of the tensor")
    first = messages[0]
    size = _size(first)
    parts: list[tuple[int, Array]] = []
    expected = 0
    for message in sorted(messages, key=_segment):
        begin, end = _segment(message)
        if (message.data_type, list(message.dims)) != (first.data_type, list(first.dims)):
            raise ParseError("the parts of the tensor differ in dims or data type")
        if begin != expected or not begin <= end <= size:
            raise ParseError(f"the parts of the tensor do not fit: one starts at {begin}, not {expected}, of {size}")
        parts.append((begin, _part(message, end - begin)))
        expected = end
    if expected != size:
        raise ParseError(f"the parts of the tensor end at {expected} of {size} elements")
    # The parts hold `size` elements between them, so the allocation is no larger than the data that was really there.
    out = np.empty(size, numpy_dtype(first.data_type))
    for begin, part in parts:
        out[begin : begin + part.size] = part
    return out.reshape(tuple(first.dims))


def _segment(message: Any) -> tuple[int, int]:
    if not message.HasField("segment"):
        return 0, _size(message)
    return message.segment.begin, message.segment.end


def _size(message: Any) -> int:
    dims = list(message.dims)
    if any(d < 0 for d in dims):
        raise ShapeError(f"the tensor has a negative dimension: {dims}")
    size = math.prod(dims)
    if size > _MAX_ELEMENTS:
        raise ShapeError(f"the tensor's dims overflow: {dims}")
    return size


def _part(message: Any, count: int) -> Array:
    """The flat values of a message, which must be `count`."""
    kind = message.data_type
    dtype = numpy_dtype(kind)
    field, _, stored = _STORAGE[kind]
    if message.HasField("external_data"):
        raise ParseError("the tensor's values are in another file, which is not supported")
    raw = message.raw_data or (message.byte_data if kind != TensorProto.STRING else b"")
    if raw:
        if len(raw) != count * dtype.itemsize:
            raise ShapeError(f"the tensor has {len(raw)} bytes for {count} elements of {dtype} ({list(message.dims)})")
        return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype)
    values = getattr(message, field)
    if len(values) != count:
        raise ShapeError(f"the tensor has {len(values)} values, but its dims {list(message.dims)} need {count}")
    if kind == TensorProto.STRING:
        out = np.empty(count, object)
        out[:] = list(values)
        return out
    if kind == TensorProto.BYTE:
        return np.zeros(0, np.uint8)
    wide = np.array(values, _WIDE[field])
    return wide != 0 if kind == TensorProto.BOOL else _narrow(wide, np.dtype(stored)).view(dtype)


_WIDE = {"float_data": np.float32, "double_data": np.float64, "int32_data": np.int32, "int64_data": np.int64}


def _narrow(values: Array, stored: np.dtype[Any]) -> Array:
    """int32_data as the narrower type; Caffe2 keeps the low bits, here a value that does not fit is an error."""
    if values.dtype == stored:
        return values
    info = np.iinfo(stored)
    if values.size and (values.min() < info.min or values.max() > info.max):
        raise ParseError(f"the tensor has a value outside {info.min} to {info.max}, the range of {stored}")
    return values.astype(stored)
