"""What is wrong with bytes that protobuf refused: protobuf itself says little more than no."""

from __future__ import annotations

from typing import Any

MAX_NESTING = 100
"""Messages inside messages, below the outermost: the limit of protobuf's own binary parsers, kept for text too."""

_MAX_FIELDS = 200_000  # the search is plain Python, so it gives up on large files whose fault lies deep inside
_VARINT, _FIXED64, _BYTES, _START_GROUP, _END_GROUP, _FIXED32 = range(6)


class Malformed(Exception):
    """Bytes that are no wire format; the text says how."""


def read_varint(data: Any, position: int, end: int) -> tuple[int, int]:
    """The unsigned varint at a position of a bytes-like object, and the position after it. Raises Malformed."""
    value = shift = 0
    while True:
        if position >= end:
            raise Malformed(f"a number is cut off at byte {position}")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift >= 70:
            raise Malformed(f"a number before byte {position} is longer than ten bytes")


def skip_value(data: Any, position: int, end: int, wire_type: int) -> tuple[int, int]:
    """Where the value of a field starts and stops: of length-delimited ones the contents. Raises Malformed."""
    if wire_type == _BYTES:
        length, position = read_varint(data, position, end)
        stop = position + length
    elif wire_type == _VARINT:
        stop = read_varint(data, position, end)[1]
    elif wire_type == _FIXED32:
        stop = position + 4
    elif wire_type == _FIXED64:
        stop = position + 8
    else:
        raise Malformed(f"wire type {wire_type} before byte {position} is not used by these messages")
    if stop > end:
        raise Malformed(f"{stop - position:,} bytes are announced at byte {position:,}, {end - position:,} are left")
    return position, stop


def find_fault(data: Any, descriptor: Any) -> tuple[str, str]:
    """The first fault in bytes that should be a message, outer levels first: (where, what), such as
    ("operator 7", "4,000 bytes are announced at byte 120, 31 are left"). Empty strings if none was found."""
    queue: list[tuple[Any, int, int, str, int]] = [(descriptor, 0, len(data), "", 0)]
    fields = 0
    for kind, position, end, path, depth in queue:  # grows while walked: breadth first
        if depth > MAX_NESTING:
            return _place(path), f"messages nest deeper than {MAX_NESTING}"
        counts: dict[str, int] = {}
        name = ""
        try:
            while position < end:
                name = ""
                fields += 1
                if fields > _MAX_FIELDS:
                    return "", ""
                tag, position = read_varint(data, position, end)
                if tag >> 3 == 0:
                    raise Malformed(f"field number 0 before byte {position:,}")
                field = kind.fields_by_number.get(tag >> 3)
                if field is not None:
                    name = f"{field.name}[{counts.get(field.name, 0)}]"
                    counts[field.name] = counts.get(field.name, 0) + 1
                start, position = skip_value(data, position, end, tag & 7)
                if field is not None and field.message_type is not None and tag & 7 == _BYTES:
                    queue.append((field.message_type, start, position, _join(path, name), depth + 1))
        except Malformed as fault:
            return _place(_join(path, name)), str(fault)
    return "", ""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _place(path: str) -> str:
    """`op[3].arg[0]` -> `operator 3, arg[0]`: the words that all other errors use."""
    path = path if len(path) <= 100 else path[:97] + "..."
    head, _, rest = path.partition(".")
    if head.startswith("op["):
        head = f"operator {head[3:-1]}"
    return f"{head}, {rest}" if rest else head
