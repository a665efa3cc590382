"""Init nets at memory speed.

An init net is a few hundred operators and a hundred megabytes of `values`. protobuf would read and hold every float
as a list element; here the file is mapped, the wire format walked operator by operator, and the `values` of the fills
are left where they are. Only what remains, some kilobytes, is parsed as a message (by `wire.read_net`)::

    NetDef   | name | op: arg "shape", arg "values" ############ , type | op: ... | external_output ... |
    message  | name | op: arg "shape", arg "values" (name only)  , type | op: ... | external_output ... |
    payloads                                        ############ -> Payload(count, dtype), copied when asked

A run of equal records is recognized by numpy, not record by record. Whatever is unusual (a field number written in
more bytes than needed, the same field twice, lists of several kinds in one argument) stays in the message: protobuf is
the judge of it. So a result always equals protobuf's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant.proto.faults import Malformed, read_varint, skip_value
from serverquant.proto.payload import FLOAT_RUN, INT_PACKED, INT_RUN, RAW, Bytes, Payload, Piece

MIN_COUNT = 64
"""Arguments of fewer values stay in the message."""

_MAX_FIELDS = 10_000  # of one operator; more are no fill, and would take long in Python
_MAX_PIECES = 1_000  # of one argument
_MAX_STEP = 1 << 16  # records or bytes that numpy looks at in one go
_BYTES = 2
_FLOAT_TAG = 5 << 3 | 5
_INT_TAG = 6 << 3
_FIELDS = {4: "s", 5: "floats", 6: "ints"}


def cut_net(data: Any) -> tuple[bytes, dict[int, dict[str, Payload]]]:
    """The bytes of a serialized net without its payloads, and these by operator index and argument name.

    `data` is bytes or a mapped file; payloads refer to it and keep it alive. Raises Malformed where the outermost level
    is broken, or holds a group, which protobuf accepts as an unknown field.
    """
    source = np.frombuffer(data, np.uint8)
    parts: list[bytes] = []
    payloads: dict[int, dict[str, Payload]] = {}
    position = kept = index = 0
    end = len(data)
    while position < end:
        field = position
        tag, position = read_varint(data, position, end)
        start, position = skip_value(data, position, end, tag & 7)
        if tag != 2 << 3 | _BYTES:
            continue
        if position - start > MIN_COUNT:
            cut = _cut_operator(data, source, start, position)
            if cut is not None:
                parts += [data[kept:field], _delimited(2, cut[0])]
                payloads[index] = {"values": cut[1]}
                kept = position
        index += 1
    parts.append(data[kept:end])
    return b"".join(parts), payloads


def _delimited(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    length, head = len(content), bytearray([number << 3 | _BYTES])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + content


def _cut_operator(data: Any, source: Bytes, start: int, end: int) -> tuple[bytes, Payload] | None:
    """A fill without its values, and these; None where the operator is no fill or stays as it is."""
    kind = b""
    values = None
    position = start
    for _ in range(_MAX_FIELDS):
        if position == end:
            break
        field = position
        try:
            tag, position = read_varint(data, position, end)
            content, position = skip_value(data, position, end, tag & 7)
        except Malformed:
            return None
        if tag == 4 << 3 | _BYTES:
            kind = data[content:position]
        elif tag == 5 << 3 | _BYTES and position - content > MIN_COUNT:
            cut = _cut_argument(data, source, content, position)
            if cut is not None and values is not None:
                return None
            values = (field, position, *cut) if cut is not None else values
    else:
        return None
    if values is None or not kind.endswith(b"Fill"):
        return None
    first, last, argument, payload = values
    return data[start:first] + _delimited(5, argument) + data[last:end], payload


def _cut_argument(data: Any, source: Bytes, start: int, end: int) -> tuple[bytes, Payload] | None:
    """The argument "values" without its numbers or byte string, and these; None where it stays as it is."""
    name = b""
    pieces: list[Piece] = []
    fields: set[str] = set()
    kept: list[bytes] = []
    position = start
    while position < end:
        field = position
        piece = _run(source, position, end)
        if piece is None:
            try:
                tag, position = read_varint(data, position, end)
                content, position = skip_value(data, position, end, tag & 7)
            except Malformed:
                return None
            if tag == 1 << 3 | _BYTES:
                name = data[content:position]
            if tag >> 3 not in _FIELDS:
                kept.append(data[field:position])
                continue
            piece = _chunk(source, tag, content, position)
        if piece is None or len(pieces) + len(kept) >= _MAX_PIECES:
            return None
        fields.add(_FIELDS[data[field] >> 3])
        pieces.append(piece)
        position = piece.stop
    single_kind = len(fields) == 1 and (fields != {"s"} or len(pieces) == 1)
    if name != b"values" or not single_kind or sum(piece.size for piece in pieces) < MIN_COUNT:
        return None
    return b"".join(kept), Payload(fields.pop(), source, pieces)


def _chunk(source: Bytes, tag: int, start: int, stop: int) -> Piece | None:
    """The piece in one length-delimited field: packed numbers or a byte string. None where it is neither."""
    if tag == 4 << 3 | _BYTES:
        return Piece(RAW, start, stop, stop - start)
    if tag == 5 << 3 | _BYTES and (stop - start) % 4 == 0:
        return Piece(RAW, start, stop, (stop - start) // 4)
    if tag == 6 << 3 | _BYTES:
        count = _count_varints(source, start, stop)
        return None if count is None else Piece(INT_PACKED, start, stop, count)
    return None


def _run(source: Bytes, start: int, end: int) -> Piece | None:
    """The run of records with equal tags that starts here, or None."""
    kind = {_FLOAT_TAG: FLOAT_RUN, _INT_TAG: INT_RUN}.get(int(source[start]))
    if kind is None:
        return None
    measure = _float_records if kind == FLOAT_RUN else _int_records
    position, size, total = start, 16, 0
    while True:
        # Growing steps: the work stays in proportion to the run, however many runs there are.
        count, position, goes_on = measure(source, position, end, size)
        total += count
        if not goes_on:
            return Piece(kind, start, position, total) if total else None
        size = min(4 * size, _MAX_STEP)


def _float_records(source: Bytes, start: int, end: int, size: int) -> tuple[int, int, bool]:
    """(records, where they stop, whether more may follow) of at most `size` records of tag and float32."""
    count = min(size, (end - start) // 5)
    same = source[start : start + 5 * count : 5] == _FLOAT_TAG
    good = count if same.all() else int(same.argmin())
    return good, start + 5 * good, good == size


def _int_records(source: Bytes, start: int, end: int, size: int) -> tuple[int, int, bool]:
    """The same of records of tag and varint, in a window of about `size` of them."""
    window = source[start : min(start + 11 * size, end)]
    ends = np.flatnonzero(window < 0x80)  # a tag is one byte, so the last bytes are of tag, value, tag, value, ...
    count = ends.size // 2
    tags, values = ends[0 : 2 * count : 2], ends[1 : 2 * count : 2]
    same = (window[tags] == _INT_TAG) & (values - tags <= 10)
    same[1:] &= tags[1:] == values[:-1] + 1
    good = count if same.all() else int(same.argmin())
    stop = start + int(values[good - 1]) + 1 if good else start
    return good, stop, good == count and good > 0 and stop < end


def _count_varints(source: Bytes, start: int, stop: int) -> int | None:
    """How many varints fill start..stop exactly; None where the last one is cut off or one is longer than ten bytes."""
    count, last = 0, start - 1
    for position in range(start, stop, _MAX_STEP):
        ends = np.flatnonzero(source[position : min(position + _MAX_STEP, stop)] < 0x80) + position
        if ends.size == 0 or ends[0] - last > 10 or (np.diff(ends) > 10).any():
            return None
        count, last = count + ends.size, int(ends[-1])
    return count if last == stop - 1 else None
