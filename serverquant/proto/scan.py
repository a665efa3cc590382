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
from serverquant.proto.payload import FLOAT_RUN, INT_PACKED, INT_RUN, RAW, Bytes, Payload, Piece, release

MIN_COUNT = 64
"""Arguments of fewer values, or bytes, stay in the message."""

_MAX_STEPS = 500_000  # fields looked at one by one: half a second. What is left then stays in the message
_RUN_STEPS = 20  # what a run costs, in fields
_MAX_STEP = 1 << 16  # records or bytes that numpy looks at in one go
_BYTES = 2
_NET_OP = 2 << 3 | _BYTES
_OP_TYPE = 4 << 3 | _BYTES
_OP_ARG = 5 << 3 | _BYTES
_ARG_NAME = 1 << 3 | _BYTES
_ARG_S = 4 << 3 | _BYTES
_ARG_FLOAT = 5 << 3 | 5
_ARG_FLOATS = 5 << 3 | _BYTES
_ARG_INT = 6 << 3
_ARG_INTS = 6 << 3 | _BYTES
_ARG_STRINGS = 7 << 3 | _BYTES
_FIELDS = {4: "s", 5: "floats", 6: "ints", 7: "strings"}

Payloads = dict[int, dict[str, Payload]]


def cut_net(data: Any) -> tuple[bytes, Payloads]:
    """The bytes of a serialized net without its payloads, and these by operator index and argument name.

    `data` is bytes or a mapped file; payloads refer to it and keep it alive. Raises Malformed where the outermost level
    is broken, or holds a group, which protobuf accepts as an unknown field.
    """
    return _Cutter(data).net()


def delimited(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    length, head = len(content), bytearray([number << 3 | _BYTES])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes([length]) + content


class _Tired(Exception):
    """The file has more fields than are worth looking at in Python."""


class _Cutter:
    """One pass over a net; counts what it does, so that no file takes long, whatever it holds."""

    def __init__(self, data: Any):
        self.data = data
        self.source = np.frombuffer(data, np.uint8)
        self.steps = _MAX_STEPS

    def net(self) -> tuple[bytes, Payloads]:
        data, end = self.data, len(self.data)
        parts: list[bytes] = []
        payloads: Payloads = {}
        position = kept = index = 0
        try:
            while position < end:
                field = position
                tag, start, position = self._field(position, end)
                if tag != _NET_OP:
                    continue
                # Looking for the name first spares the fields of operators that are no fills.
                if position - start > MIN_COUNT and data.find(b"values", start, position) >= 0:
                    cut = self._operator(start, position)
                    if cut is not None:
                        parts += [data[kept:field], delimited(2, cut[0])]
                        payloads[index] = {"values": cut[1]}
                        kept = position
                index += 1
        except _Tired:
            pass
        parts.append(data[kept:end])
        return b"".join(parts), payloads

    def _field(self, position: int, end: int) -> tuple[int, int, int]:
        """(tag, start and stop of the value) of the field at a position. Raises Malformed and _Tired."""
        self._spend(1)
        tag, position = read_varint(self.data, position, end)
        return (tag, *skip_value(self.data, position, end, tag & 7))

    def _spend(self, steps: int) -> None:
        self.steps -= steps
        if self.steps < 0:
            raise _Tired

    def _operator(self, start: int, end: int) -> tuple[bytes, Payload] | None:
        """A fill without its values, and these; None where the operator is no fill or stays as it is."""
        data, kind, position = self.data, b"", start
        cuts = []
        others = []
        while position < end:
            field = position
            try:
                tag, content, position = self._field(position, end)
            except Malformed:
                return None
            if tag == _OP_TYPE:
                kind = data[content:position]
            elif tag == _OP_ARG and position - content > MIN_COUNT:
                cut = self._argument(content, position)
                if cut is not None:
                    cuts.append((field, position, *cut))
                    continue
            others.append((field, position))
        # A second argument of the name is an error or not by its contents, so both stay.
        if len(cuts) != 1 or not kind.endswith(b"Fill") or any(data.find(b"values", *other) >= 0 for other in others):
            return None
        first, last, argument, payload = cuts[0]
        return data[start:first] + delimited(5, argument) + data[last:end], payload

    def _argument(self, start: int, end: int) -> tuple[bytes, Payload] | None:
        """The argument "values" without its numbers or byte string, and these; None where it stays as it is."""
        data, name, position = self.data, b"", start
        pieces: list[Piece] = []
        fields: set[str] = set()
        while position < end:
            field = position
            number = data[field] >> 3
            piece = self._run(position, end)
            if piece is None:
                try:
                    tag, content, position = self._field(position, end)
                except Malformed:
                    return None
                if tag == _ARG_NAME:
                    name = data[content:position]
                    continue
                number = tag >> 3
                piece = _chunk(self.source, tag, content, position)
                if piece is None:
                    return None
            fields.add(_FIELDS[number])
            pieces.append(piece)
            position = piece.stop
        single_kind = len(fields) == 1 and (len(pieces) == 1 or fields.isdisjoint(("s", "strings")))
        if name != b"values" or not single_kind or sum(piece.size for piece in pieces) < MIN_COUNT:
            return None
        return delimited(1, name), Payload(fields.pop(), self.source, pieces)

    def _run(self, start: int, end: int) -> Piece | None:
        """The run of records with equal tags that starts here, or None."""
        tag = self.data[start]
        if tag not in (_ARG_FLOAT, _ARG_INT):
            return None
        self._spend(_RUN_STEPS)
        kind, measure = (FLOAT_RUN, _float_records) if tag == _ARG_FLOAT else (INT_RUN, _int_records)
        position, size, total = start, 16, 0
        goes_on = True
        while goes_on:
            # Growing steps: the work stays in proportion to the run, however many runs there are.
            begin = position
            count, position, goes_on = measure(self.source, position, end, size)
            release(self.source, begin, position)
            total += count
            size = min(4 * size, _MAX_STEP)
        return Piece(kind, start, position, total) if total else None


def _chunk(source: Bytes, tag: int, start: int, stop: int) -> Piece | None:
    """The piece in one length-delimited field: packed numbers or a byte string. None where it is neither."""
    if tag in (_ARG_S, _ARG_STRINGS):
        return Piece(RAW, start, stop, stop - start)
    if tag == _ARG_FLOATS and (stop - start) % 4 == 0:
        return Piece(RAW, start, stop, (stop - start) // 4)
    if tag == _ARG_INTS:
        count = _count_varints(source, start, stop)
        return None if count is None else Piece(INT_PACKED, start, stop, count)
    return None


def _float_records(source: Bytes, start: int, end: int, size: int) -> tuple[int, int, bool]:
    """(records, where they stop, whether more may follow) of at most `size` records of tag and float32."""
    count = min(size, (end - start) // 5)
    same = source[start : start + 5 * count : 5] == _ARG_FLOAT
    good = count if same.all() else int(same.argmin())
    return good, start + 5 * good, good == size


def _int_records(source: Bytes, start: int, end: int, size: int) -> tuple[int, int, bool]:
    """The same of records of tag and varint, in a window of about `size` of them."""
    window = source[start : min(start + 11 * size, end)]
    ends = np.flatnonzero(window < 0x80)  # a tag is one byte, so the last bytes are of tag, value, tag, value, ...
    count = ends.size // 2
    tags, values = ends[0 : 2 * count : 2], ends[1 : 2 * count : 2]
    same = (window[tags] == _ARG_INT) & (values - tags <= 10)
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
