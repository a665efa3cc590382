"""Typed reading of arguments, and making them from Python values."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import proto
from serverquant._base.errors import ArgumentError
from serverquant.proto.args import Arguments, make_argument

NET = proto.NetDef(name="n", op=[proto.OperatorDef(type="Relu")])
TENSOR = proto.TensorProto(dims=[1], float_data=[2.0])
VALUES = {
    "int": 3,
    "float": 0.5,
    "string": "text",
    "bytes": b"\xff\x00",
    "net": NET,
    "ints": [1, -(2**63), 2**63 - 1],
    "floats": [1.5, -2.0],
    "strings": ["a", b"b"],
    "nets": [NET, NET],
    "empty": [],
}


def arguments(**values) -> Arguments:
    return Arguments(proto.OperatorDef(type="T", arg=[make_argument(name, value) for name, value in values.items()]))


def test_read_by_type():
    args = arguments(**VALUES)
    assert args.names() == tuple(VALUES)
    assert (args.int("int"), args.bool("int"), args.float("float")) == (3, True, 0.5)
    assert (args.string("string"), args.bytes("bytes"), args.bytes("string")) == ("text", b"\xff\x00", b"text")
    assert (args.net("net"), args.nets("nets")) == (NET, [NET, NET])
    assert (args.ints("ints"), args.floats("floats")) == (VALUES["ints"], [1.5, -2.0])
    assert args.strings("strings") == [b"a", b"b"]
    assert [args.kind(n) for n in VALUES] == ["i", "f", "s", "s", "n", "ints", "floats", "strings", "nets", ""]
    assert [args.value(n) for n in ("int", "floats", "empty")] == [3, [1.5, -2.0], []]
    for read in (args.ints, args.floats, args.strings, args.nets, args.tensors):
        assert read("empty") == []
    op = proto.OperatorDef(arg=[proto.Argument(name="t", t=TENSOR), proto.Argument(name="ts", tensors=[TENSOR])])
    assert (Arguments(op).tensor("t"), Arguments(op).tensors("ts")) == (TENSOR, [TENSOR])


def test_missing_gives_the_default():
    args = arguments()
    assert not args.has("x")
    assert args.kind("x") is None
    assert args.payload("x") is None
    for read in (args.int, args.float, args.bool, args.string, args.bytes, args.net, args.tensor, args.value):
        assert read("x", None) is None
        with pytest.raises(ArgumentError, match=r'argument "x" is missing'):
            read("x")
    for read in (args.ints, args.floats, args.strings, args.nets, args.tensors):
        assert read("x", [7]) == [7]


@pytest.mark.parametrize(
    ("read", "name", "message"),
    [
        ("int", "float", r'argument "float" holds a float \(f\), expected an integer \(i\)'),
        ("bool", "string", r"holds a string \(s\), expected an integer \(i\)"),
        ("float", "int", r"holds an integer \(i\), expected a float \(f\)"),
        ("string", "net", r"holds a net \(n\), expected a string \(s\)"),
        ("int", "ints", r"holds a list of integers \(ints\), expected an integer \(i\)"),
        ("ints", "int", r"holds an integer \(i\), expected a list of integers \(ints\)"),
        ("floats", "ints", r"holds a list of integers \(ints\), expected a list of floats \(floats\)"),
        ("int", "empty", r"holds an empty list \(no field set\), expected an integer"),
        ("tensor", "net", r"holds a net \(n\), expected a tensor \(t\)"),
        ("string", "bytes", "is not UTF-8 text"),
        ("payload", "net", "expected floats, ints or one byte string"),
        ("payload", "strings", "expected floats, ints or one byte string"),
    ],
)
def test_wrong_field(read, name, message):
    with pytest.raises(ArgumentError, match=message):
        getattr(arguments(**VALUES), read)(name)


def test_integers_that_do_not_fit():
    args = arguments(big=2**31, list=[1, 2**40])
    assert args.int("big", bits=64) == 2**31
    with pytest.raises(ArgumentError, match=r'argument "big" is 2147483648, which does not fit 32 bits'):
        args.int("big")
    with pytest.raises(ArgumentError, match="does not fit 32 bits"):
        args.ints("list", bits=32)


def test_a_name_twice():
    same = [make_argument("a", 1), make_argument("a", 1)]
    assert Arguments(proto.OperatorDef(arg=same)).int("a") == 1
    with pytest.raises(ArgumentError, match=r'argument "a" is given twice'):
        Arguments(proto.OperatorDef(arg=[*same, make_argument("a", 2)]))


def test_names_and_nets_are_checked_when_read():
    with pytest.raises(ArgumentError, match="not UTF-8"):
        Arguments(proto.OperatorDef.FromString(b"\x2a\x04\x0a\x02\xff\xfe"))
    with pytest.raises(ArgumentError, match=r'argument "n" holds a net that cannot be used: operator 0 has no type'):
        arguments(n=proto.NetDef(op=[proto.OperatorDef()])).net("n")


def test_payload_of_what_is_in_the_message():
    args = arguments(f=[1.5, 2.5], i=[1, -2], s=b"ab", t=["only"])
    assert args.payload("f").array().tolist() == [1.5, 2.5]
    assert args.payload("i").array().tolist() == [1, -2]
    assert args.payload("s").array().tobytes() == b"ab"
    assert args.payload("t").array().tobytes() == b"only"
    out = np.zeros((2, 1), np.int32)
    args.payload("i").copy_into(out)
    assert out.tolist() == [[1], [-2]]


class ForeignNet:
    class DESCRIPTOR:
        full_name = "caffe2.NetDef"

    def SerializeToString(self):
        return NET.SerializeToString()


@pytest.mark.parametrize(
    ("value", "field", "stored"),
    [
        (True, "i", 1),
        (np.int64(-3), "i", -3),
        (np.uint8(200), "i", 200),
        (np.bool_(True), "i", 1),
        (np.float32(0.1), "f", float(np.float32(0.1))),
        (np.float64(0.5), "f", 0.5),
        (np.str_("x"), "s", b"x"),
        ("ä", "s", "ä".encode()),
        (bytearray(b"ab"), "s", b"ab"),
        (TENSOR, "s", TENSOR.SerializeToString()),
        (ForeignNet(), "n", NET),
        ([ForeignNet()], "nets", [NET]),
        ([TENSOR], "strings", [TENSOR.SerializeToString()]),
        ((1, 2), "ints", [1, 2]),
        ([True, np.int32(5)], "ints", [1, 5]),
        (range(3), "ints", [0, 1, 2]),
        ([np.float32(0.5), 1.5], "floats", [0.5, 1.5]),
        (np.arange(6, dtype=np.float32).reshape(2, 3), "floats", [0, 1, 2, 3, 4, 5]),
        (np.arange(4, dtype=np.float32).reshape(2, 2).T, "floats", [0, 2, 1, 3]),
        (np.array([0.5], np.float64), "floats", [0.5]),
        (np.array([0.5], ">f4"), "floats", [0.5]),
        (np.array([[1, 2]], np.uint8), "ints", [1, 2]),
        (np.array([True, False]), "ints", [1, 0]),
        (np.array(7), "ints", [7]),
        (np.array([b"a", b"bc"]), "strings", [b"a", b"bc"]),
        (np.array(["a"], object), "strings", [b"a"]),
    ],
)
def test_make(value, field, stored):
    argument = make_argument("a", value)
    assert [f.name for f, _ in argument.ListFields()] == sorted(
        ["name", field], key=lambda n: proto.Argument.DESCRIPTOR.fields_by_name[n].number
    )
    found = getattr(argument, field)
    assert (list(found) if isinstance(stored, list) else found) == stored


def test_floats_are_written_unpacked_as_caffe2_does():
    argument = make_argument("a", np.array([1, 2], np.float32))
    assert argument.SerializeToString() == b"\x0a\x01a\x2d\0\0\x80\x3f\x2d\0\0\0\x40"


@pytest.mark.parametrize(
    "value", [None, object(), [1, 2.5], [1, "a"], [None], [[1]], {"a": 1}.items(), 2**63, [2**64], 1j]
)
def test_values_that_are_no_argument(value):
    with pytest.raises(ArgumentError, match='argument "a"'):
        make_argument("a", value)
