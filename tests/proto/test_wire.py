"""Payloads read from the wire equal what protobuf reads, whatever the encoding, and damage is a ParseError."""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from wireforms import argument, delimited, float_run, int_run, operator, packed_floats, packed_ints, varint

from serverquant import proto
from serverquant._base.errors import ArgumentError, DTypeError, ParseError, ShapeError
from serverquant.proto.args import Arguments
from serverquant.proto.io import load_net
from serverquant.proto.payload import Payload
from serverquant.proto.wire import read_net

FLOATS = np.linspace(-3, 7, 200, dtype=np.float32).tolist()
INTS = [0, 1, 127, 128, 300, -1, -(2**63), 2**63 - 1, 2**31, 2**35, *range(-100, 100)]
FORMS = {
    "float run": float_run(FLOATS),
    "packed floats": packed_floats(FLOATS),
    "mixed floats": float_run(FLOATS[:70])
    + packed_floats(FLOATS[70:100])
    + packed_floats([])
    + float_run(FLOATS[100:]),
    "int run": int_run(INTS),
    "packed ints": packed_ints(INTS),
    "mixed ints": packed_ints(INTS[:5]) + int_run(INTS[5:100]) + packed_ints(INTS[100:]),
    "long int run": int_run(range(0, 60_000_000, 700)),
    "long packed ints": packed_ints(range(-70_000, 20_000)),
    "string": delimited(4, bytes(range(256))),
    "long tag of a string": b"\xa2\x00" + varint(100) + bytes(100),
    "one string": delimited(7, bytes(range(256)) * 2),
}
# Not cut out, but not misread either.
KEPT = {
    "few": float_run(FLOATS[:63]),
    "two strings": delimited(7, b"a" * 100) + delimited(7, b"b" * 100),
    "byte string twice": delimited(4, b"a" * 100) + delimited(4, b"b" * 100),
    "both kinds": float_run(FLOATS) + int_run(INTS),
    "another field": b"\x18\x05" + float_run(FLOATS),
    "long tags": b"".join(b"\xad\x00" + f[1:] for f in (float_run([v]) for v in FLOATS)),
    "unknown field": float_run(FLOATS) + b"\xa0\x06\x01",
    "scattered": (int_run([1]) + packed_ints([2])) * 30_000,  # more than the scanner looks at
}


def whole(data: bytes) -> Any:
    """The NetDef of the payload reader, payloads put back."""
    file = read_net(data)
    for index, payloads in file.payloads.items():
        for name, payload in payloads.items():
            (arg,) = (a for a in file.net.op[index].arg if a.name == name)
            put(arg, payload)
    return file.net


def put(arg: Any, payload: Payload) -> None:
    values = payload.array()
    assert len(values) == payload.count
    if payload.field == "s":
        arg.s = values.tobytes()
    elif payload.field == "floats":
        arg.MergeFromString(delimited(5, values.tobytes()))  # keeps the bits of those that are not numbers
    else:
        getattr(arg, payload.field).extend([values.tobytes()] if payload.field == "strings" else values.tolist())


@pytest.mark.parametrize("form", FORMS)
def test_cut_out(form):
    data = operator(kind="Relu") + operator(argument(int_run([2, 3]), "shape"), argument(FORMS[form]))
    file = read_net(data)
    assert list(file.payloads) == [1]
    assert not file.net.op[1].arg[1].ListFields()[1:]
    assert whole(data) == proto.NetDef.FromString(data)


@pytest.mark.parametrize("form", KEPT)
def test_left_in_the_message(form):
    data = operator(argument(KEPT[form]))
    assert read_net(data).payloads == {}
    assert read_net(data).net == proto.NetDef.FromString(data)


def test_only_values_of_fills_are_cut_out():
    body = float_run(FLOATS)
    data = operator(argument(body), kind="Other") + operator(argument(body, "weights")) + operator(argument(body) * 2)
    assert read_net(data).payloads == {}


def test_unknown_fields_and_groups_are_protobufs_matter():
    data = delimited(99, b"x" * 100) + operator(argument(float_run(FLOATS))) + delimited(98, b"y")
    assert list(read_net(data).payloads) == [0]
    group = bytes([50 << 3 & 127 | 3 | 128, 50 >> 4]) + bytes([50 << 3 & 127 | 4 | 128, 50 >> 4])
    assert whole(group + data) == proto.NetDef.FromString(group + data)


def test_every_kind_of_source(tmp_path):
    data = operator(argument(float_run(FLOATS)))
    path = tmp_path / "init_net.pb"
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), memoryview(data), load_net(data)):
        (payload,) = read_net(source).payloads[0].values()
        assert payload.array().tolist() == FLOATS


def test_a_message_is_copied():
    net = proto.NetDef(op=[proto.OperatorDef(type="Relu")])
    file = read_net(net)
    net.op[0].type = "Tanh"
    assert file.net.op[0].type == "Relu"


# ---- copying ---------------------------------------------------------------------------------------------------------


def payload_of(body: bytes) -> Payload:
    return read_net(operator(argument(body))).payloads[0]["values"]


@pytest.mark.parametrize("form", ["float run", "packed floats", "mixed floats"])
def test_floats_into_any_layout(form):
    payload = payload_of(FORMS[form])
    out = np.zeros((10, 20), np.float64).T
    payload.copy_into(out)
    assert out.ravel().tolist() == FLOATS


def test_ints_narrow_exactly():
    payload = payload_of(int_run(range(-50, 78)))
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        out = np.zeros(128, dtype)
        payload.copy_into(out)
        assert out.tolist() == list(range(-50, 78))
    with pytest.raises(ArgumentError, match=r"value -50 at index 0 does not fit uint8"):
        payload.copy_into(np.zeros(128, np.uint8))
    truth = np.zeros(128, bool)
    payload.copy_into(truth)
    assert truth.tolist() == [v != 0 for v in range(-50, 78)]


def test_a_byte_string_is_a_view():
    data = operator(argument(FORMS["string"]), kind="Int8GivenTensorFill")
    array = read_net(data).payloads[0]["values"].array()
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    out = np.zeros(256, np.int8)
    payload_of(FORMS["string"]).copy_into(out)
    assert out.tobytes() == bytes(range(256))


def test_wrong_targets():
    with pytest.raises(ShapeError, match=r"200 values are given for a tensor of shape \(3, 4\)"):
        payload_of(FORMS["float run"]).copy_into(np.zeros((3, 4), np.float32))
    for form, dtype in (("float run", np.int32), ("int run", np.float32), ("string", np.int32), ("string", bool)):
        payload = payload_of(FORMS[form])
        with pytest.raises(DTypeError, match="cannot fill a tensor"):
            payload.copy_into(np.zeros(payload.count, dtype))


def test_signals_and_signs_survive():
    bits = np.array([0x7F800001, 0xFFC00000, 0x80000000, 1] * 20, np.uint32)
    body = b"".join(b"\x2d" + bytes(b) for b in bits.view(np.uint8).reshape(-1, 4))
    assert payload_of(body).array().view(np.uint32).tolist() == bits.tolist()


# ---- damage ----------------------------------------------------------------------------------------------------------


def test_damage_names_the_operator():
    good = operator(argument(float_run(FLOATS)))
    with pytest.raises(ParseError, match=r"announced at byte \d+.*operator 1\)"):
        read_net(good + good[:-1])
    with pytest.raises(ParseError, match=r"2,147,483,647 bytes are announced.*operator 1, arg\[0\]\.floats\[0\]"):
        read_net(good + operator(argument(b"\x2a" + varint(2**31 - 1) + b"abc")))
    with pytest.raises(ParseError, match="operator 1 has no type"):
        read_net(good + operator(kind=""))
    with pytest.raises(ParseError, match="operator 0 has a name that is not UTF-8"):
        read_net(delimited(2, delimited(1, b"\xff") + delimited(4, b"Relu")))


def lies() -> dict[str, bytes]:
    many = 50_000
    scattered = (int_run([1]) + packed_ints([2])) * 1_000
    return {
        "endless number": operator(argument(b"\x30" + b"\xff" * many)),
        "endless packed number": operator(argument(delimited(6, b"\xff" * many))),
        "length past the end": operator(argument(b"\x2a" + varint(2**62) + b"abc")),
        "operator past the end": b"\x12" + varint(2**40) + b"abc",
        "many fields": delimited(2, delimited(1, b"x") * many),
        "scattered": b"".join([operator(argument(scattered))] * 3),
        "long tags": operator(argument(b"\xad\x00abcd" * many)),
        "cut short": operator(argument(b"\x2dabcd" * many))[:-1],
    }


@pytest.mark.parametrize("name", lies())
def test_lies_take_neither_time_nor_memory(name):
    data = lies()[name]
    begin = time.perf_counter()
    with contextlib.suppress(ParseError):
        read_net(data)
    assert time.perf_counter() - begin < 5  # some hundredths of a second on a free machine
    tracemalloc.start()
    with contextlib.suppress(ParseError):
        read_net(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * len(data) + 4_000_000


def test_work_grows_with_the_file_and_no_faster():
    def seconds(pieces: int) -> float:
        body = (int_run(range(100)) + packed_ints(range(100))) * pieces
        data = operator(argument(body))
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            read_net(data)
            times.append(time.perf_counter() - begin)
        return min(times)

    assert seconds(4_000) < 16 * seconds(1_000) + 0.05


FUZZ_NET = (
    delimited(1, b"net")
    + operator(argument(int_run([8, 9]), "shape"), argument(float_run(FLOATS[:80])))
    + operator(argument(float_run(FLOATS[:40]) + packed_floats(FLOATS[:40])), argument(packed_ints(INTS), "values"))
    + operator(argument(packed_ints(INTS[:40]) + int_run(INTS)), kind="GivenTensorInt64Fill")
    + operator(argument(delimited(4, bytes(range(90)))), kind="Int8GivenTensorFill")
    + operator(argument(b"\x18\x05", "axis"), kind="Softmax")
    + delimited(8, b"w")
)


@pytest.mark.parametrize("seed", range(8))
def test_fuzz(seed):
    rng = np.random.default_rng(seed)
    taken = 0
    for _ in range(250):
        data = bytearray(FUZZ_NET)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(len(data))] = rng.integers(256)
        if rng.random() < 0.3:
            data = data[: rng.integers(1, len(data))]
        check_fuzzed(bytes(data))
        taken += 1
    assert taken == 250


def check_fuzzed(data: bytes) -> None:
    try:
        expected = proto.NetDef.FromString(data)
    except (DecodeError, UnicodeDecodeError):
        with pytest.raises(ParseError):
            read_net(data)
        return
    try:
        ours = whole(data)
    except ParseError:
        # protobuf takes it, but it is not a net that could run.
        with pytest.raises(ParseError, match=r"has no type|UTF-8|no field"):
            load_net(data)
        return
    assert ours.SerializeToString() == expected.SerializeToString()


def test_arguments_read_payloads_like_fields():
    for form, body in FORMS.items():
        data = operator(argument(int_run([2]), "shape"), argument(body))
        file = read_net(data)
        left, right = Arguments(file.net.op[0], file.payloads[0]), Arguments(proto.NetDef.FromString(data).op[0])
        assert left.names() == right.names() == ("shape", "values"), form
        assert left.kind("values") == right.kind("values"), form
        assert left.value("values") == right.value("values"), form
        mine, theirs = left.payload("values"), right.payload("values")
        assert mine is not None, form
        assert theirs is not None, form
        assert mine.array().tobytes() == theirs.array().tobytes(), form
