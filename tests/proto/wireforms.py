"""Wire format written by hand: what no protobuf writer would write, but every reader must take."""

from __future__ import annotations

import struct
from collections.abc import Iterable


def varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def float_run(values: Iterable[float]) -> bytes:
    return b"".join(b"\x2d" + struct.pack("<f", v) for v in values)


def packed_floats(values: Iterable[float]) -> bytes:
    return delimited(5, b"".join(struct.pack("<f", v) for v in values))


def int_run(values: Iterable[int]) -> bytes:
    return b"".join(b"\x30" + varint(v) for v in values)


def packed_ints(values: Iterable[int]) -> bytes:
    return delimited(6, b"".join(varint(v) for v in values))


def argument(body: bytes, name: str = "values") -> bytes:
    return delimited(5, delimited(1, name.encode()) + body)


def operator(*arguments: bytes, kind: str = "GivenTensorFill", output: str = "w") -> bytes:
    return delimited(2, delimited(2, output.encode()) + delimited(4, kind.encode()) + b"".join(arguments))
