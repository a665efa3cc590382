"""TensorProto <-> numpy: every data type the way Caffe2 stores it."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import proto
from serverquant._base.errors import DTypeError, ParseError, ShapeError
from serverquant.proto import TensorProto
from serverquant.proto.tensors import data_type, from_numpy, join, numpy_dtype, to_numpy

CASES = [
    (np.array([[1.5, -0.0, np.inf]], np.float32), "FLOAT", "float_data", [1.5, -0.0, np.inf]),
    (np.array([1e300, 2.0]), "DOUBLE", "double_data", [1e300, 2.0]),
    (np.array([-(2**31), 2**31 - 1], np.int32), "INT32", "int32_data", [-(2**31), 2**31 - 1]),
    (np.array([-128, 127], np.int8), "INT8", "int32_data", [-128, 127]),
    (np.array([-(2**15), 2**15 - 1], np.int16), "INT16", "int32_data", [-(2**15), 2**15 - 1]),
    (np.array([0, 255], np.uint8), "UINT8", "int32_data", [0, 255]),
    (np.array([0, 65535], np.uint16), "UINT16", "int32_data", [0, 65535]),
    (np.array([True, False]), "BOOL", "int32_data", [1, 0]),
    (np.array([1.0, -2.0], np.float16), "FLOAT16", "int32_data", [0x3C00, 0xC000]),
    (np.array([-(2**63), 2**63 - 1]), "INT64", "int64_data", [-(2**63), 2**63 - 1]),
    (np.array([b"a", b"\xff\x00"], object), "STRING", "string_data", [b"a", b"\xff\x00"]),
]


@pytest.mark.parametrize(("array", "kind", "field", "stored"), CASES, ids=[c[1] for c in CASES])
def test_both_ways(array, kind, field, stored):
    message = from_numpy(array, "t")
    assert TensorProto.DataType.Name(message.data_type) == kind
    assert list(getattr(message, field)) == stored
    assert (message.name, tuple(message.dims)) == ("t", array.shape)
    back = to_numpy(TensorProto.FromString(message.SerializeToString()))
    assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())
    if array.dtype != object:
        assert back.tobytes() == array.tobytes()
    assert numpy_dtype(data_type(array.dtype)) == array.dtype


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1)])
def test_shapes(shape):
    for dtype in (np.float32, np.uint8, object):
        back = to_numpy(from_numpy(np.full(shape, b"x" if dtype is object else 1, dtype)))
        assert (back.shape, back.dtype) == (shape, dtype)


def test_layouts_and_byte_orders():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert to_numpy(from_numpy(array.T)).tolist() == array.T.tolist()
    assert to_numpy(from_numpy(array.astype(">f4"))).tolist() == array.tolist()
    assert list(from_numpy(np.array(["ä"])).string_data) == ["ä".encode()]
    assert list(from_numpy(np.array([b"ab"])).string_data) == [b"ab"]


def test_compact_forms():
    message = TensorProto(dims=[3], data_type=TensorProto.INT8, byte_data=b"\xff\x00\x01")
    assert to_numpy(message).tolist() == [-1, 0, 1]
    message = TensorProto(dims=[2], data_type=TensorProto.FLOAT16, byte_data=b"\x00\x3c\x00\xc0")
    assert to_numpy(message).tolist() == [1.0, -2.0]
    message = TensorProto(dims=[2], data_type=TensorProto.BYTE, byte_data=b"\x01\xff")
    assert (to_numpy(message).dtype, to_numpy(message).tolist()) == (np.uint8, [1, 255])
    message = TensorProto(dims=[1], storage_type=TensorProto.RAW, raw_data=b"\0\0\x80\x3f")
    assert to_numpy(message).tolist() == [1.0]
    assert to_numpy(message).flags.writeable


def test_parts_are_joined_in_any_order():
    array = np.arange(10, dtype=np.int64).reshape(2, 5)
    parts = [from_numpy(array, "t", cut) for cut in ((4, 7), (0, 4), (7, 10))]
    assert join(parts).tolist() == array.tolist()
    assert join([from_numpy(array)]).tolist() == array.tolist()
    strings = np.array([b"a", b"b", b"c"], object)
    assert join([from_numpy(strings, "", c) for c in ((0, 1), (1, 3))]).tolist() == strings.tolist()
    with pytest.raises(ParseError, match=r"is a part, elements \(4, 7\) of 10"):
        to_numpy(parts[0])
    with pytest.raises(ParseError, match="one starts at 4, not 0"):
        join([parts[0], parts[2]])
    with pytest.raises(ParseError, match="end at 7 of 10"):
        join(parts[:2])
    with pytest.raises(ParseError, match="differ in dims or data type"):
        join([parts[1], from_numpy(array.astype(np.int32), "t", (4, 10))])
    with pytest.raises(ParseError, match="no part"):
        join([])


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        (TensorProto(dims=[2, 3], float_data=[1.0]), ShapeError, r"has 1 values, but its dims \[2, 3\] need 6"),
        (TensorProto(dims=[1 << 40, 1 << 20]), ShapeError, "need 1152921504606846976"),
        (TensorProto(dims=[1 << 40, 1 << 40]), ShapeError, "overflow"),
        (TensorProto(dims=[-1]), ShapeError, "negative dimension"),
        (TensorProto(dims=[1], raw_data=b"abc"), ShapeError, "3 bytes for 1 elements of float32"),
        (TensorProto(dims=[1], data_type=TensorProto.UINT8, int32_data=[256]), ParseError, "outside 0 to 255"),
        (TensorProto(dims=[2], data_type=TensorProto.BYTE), ShapeError, "has 0 values"),
        (TensorProto(data_type=TensorProto.UNDEFINED), DTypeError, "UNDEFINED are not supported"),
        (TensorProto(data_type=TensorProto.ZERO_COLLISION_HASH), DTypeError, "ZERO_COLLISION_HASH"),
        (TensorProto(external_data=proto.ExternalDataProto()), ParseError, "in another file"),
    ],
)
def test_damage(message, error, text):
    with pytest.raises(error, match=text):
        to_numpy(message)
    with pytest.raises(error, match=text):
        join([message])


def test_no_tensor_holds_it():
    with pytest.raises(DTypeError, match="there is no tensor of complex128"):
        from_numpy(np.zeros(1, complex))
    with pytest.raises(DTypeError, match="holds a float; its elements must be bytes or str"):
        from_numpy(np.array([b"a", 1.5], object))
