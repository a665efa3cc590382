"""Blobs as BlobProto messages, the form in which Caffe2 saves them."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant import proto
from serverquant._base.errors import DTypeError, ParseError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, INT8, OBJECT
from serverquant.proto.tensors import from_numpy, to_numpy

_BITS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16, np.dtype(np.int32): 32}


def to_message(blob: Blob, name: str) -> Any:
    """The blob's value under a name. DTypeError for an object that has no such form."""
    message = proto.BlobProto(name=name)
    if blob.kind == OBJECT:
        value = blob.value
        if isinstance(value, bytes):
            message.type, message.content = "std::string", value
            return message
        if not hasattr(value, "to_blob"):
            raise DTypeError(f'blob "{blob.name}" holds a {type(value).__name__}, which cannot be serialized')
        message = value.to_blob()
        message.name = name
    elif blob.kind == INT8:
        message.type = "Int8TensorCPU"
        _fill_quantized(message.qtensor, blob, name)
    elif blob.kind == EMPTY:
        raise DTypeError(f'blob "{blob.name}" is empty and cannot be serialized')
    else:
        message.type = "Tensor"
        message.tensor.CopyFrom(from_numpy(blob.view(), name, (0, blob.spec().size)))
    return message


def _fill_quantized(quantized: Any, blob: Blob, name: str) -> None:
    values = blob.view()
    quantized.dims.extend(blob.dims)
    quantized.precision = _BITS[values.dtype]
    quantized.scale, quantized.bias = blob.scale, blob.zero_point
    quantized.is_signed = values.dtype == np.int32
    quantized.data_type = blob.spec().dtype
    quantized.name = name
    quantized.data.extend(values.reshape(-1).tolist())


def feed_message(blob: Blob, message: Any) -> None:
    """Put the value of a BlobProto into a blob. ParseError for a type that nothing here reads."""
    if message.type in _READERS:
        blob.feed_object(_READERS[message.type](message))
    elif message.HasField("tensor"):
        blob.feed(to_numpy(message.tensor))
    elif message.HasField("qtensor"):
        quantized = message.qtensor
        values = np.array(quantized.data, dtypes.NUMPY[quantized.data_type]).reshape(tuple(quantized.dims))
        blob.feed_int8(values, quantized.scale, int(quantized.bias))
    elif message.type == "std::string":
        blob.feed_object(message.content)
    else:
        raise ParseError(f'blob "{message.name}" is serialized as a {message.type}, which is not known here')


_READERS: dict[str, Any] = {}


def add_reader(type_name: str, read: Any) -> None:
    """`read(message)` makes the object of a BlobProto of that type, which the object's `to_blob()` has given."""
    _READERS[type_name] = read
