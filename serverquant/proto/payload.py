"""The values of one argument, read straight from the wire.

protobuf has two encodings of a repeated number, and a parser must take any mixture of them: one record with its own tag
each (Caffe2 writes these: five bytes a float), or packed records of many numbers. A payload is a list of such pieces.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from serverquant._base.errors import ArgumentError, DTypeError, ShapeError

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

RAW = "raw"  # the numbers themselves, little-endian
FLOAT_RUN = "float run"  # tag byte and float32, five bytes each
INT_RUN = "int run"  # tag byte and varint each
INT_PACKED = "int packed"  # varint each

_BLOCK_BYTES = 1 << 18  # bounds the index arrays of varint decoding; also fits the L2 cache
_BLOCK_FLOATS = 1 << 18  # after so many, their part of the file may leave memory
_DTYPES: dict[str, np.dtype[Any]] = {
    "floats": np.dtype("f4"),
    "ints": np.dtype("i8"),
    "s": np.dtype("u1"),
    "strings": np.dtype("u1"),
}


class Piece(NamedTuple):
    """`size` values in the bytes start..stop of the source."""

    kind: str
    start: int
    stop: int
    size: int


def release(source: Bytes, start: int, stop: int) -> None:
    """Let pages of a mapped file leave this process's memory: the system's cache has them when they are read again."""
    file = getattr(source.base, "obj", None)
    if not isinstance(file, mmap.mmap) or not hasattr(file, "madvise"):
        return
    first, last = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, min(stop, source.size) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        file.madvise(mmap.MADV_DONTNEED, first, last - first)


class Payload:
    """The floats, ints or byte string of one argument: `count` values of `dtype` (float32, int64 or uint8).

    `field` is the argument's field: floats, ints, s, or strings where that holds a single string.

    The values stay in the file (mapped, or the bytes given) until copied. A file must not be cut short meanwhile; our
    own `io.save` replaces files and never shortens them.
    """

    __slots__ = ("_pieces", "_source", "count", "dtype", "field")

    def __init__(self, field: str, source: Bytes, pieces: Sequence[Piece]):
        self.field = field
        self.dtype = _DTYPES[field]
        self.count = sum(piece.size for piece in pieces)
        self._source = source
        self._pieces = pieces

    @classmethod
    def of_values(cls, values: Any, field: str) -> Payload:
        """A payload of values that are in a message, so that small fills are read like large ones."""
        array = np.frombuffer(values, np.uint8) if isinstance(values, bytes) else np.array(values, _DTYPES[field])
        if sys.byteorder == "big":
            array = array.astype(array.dtype.newbyteorder("<"))
        source = array.view(np.uint8)
        return cls(field, source, [Piece(RAW, 0, source.size, array.size)])

    def __repr__(self) -> str:
        return f"Payload({self.count} x {self.dtype})"

    def array(self) -> np.ndarray[Any, Any]:
        """The values, flat: a new array of float32 or int64, or a read-only uint8 view of the source (byte string)."""
        if self.dtype.itemsize == 1:
            piece = self._pieces[0]
            view = self._source[piece.start : piece.stop]
            view.flags.writeable = False
            return view
        out = np.empty(self.count, self.dtype)
        self.copy_into(out)
        return out

    def copy_into(self, out: np.ndarray[Any, Any]) -> None:
        """Copies all values into `out`: any shape of `count` elements, in C order.

        Floats go to float32 or float64, a byte string to 1-byte integers, ints to any integer (a value that does not
        fit is an ArgumentError, and then `out` is partly written) or to bool, where all but 0 is true.
        """
        if out.size != self.count:
            raise ShapeError(f"{self.count} values are given for a tensor of shape {out.shape}, which takes {out.size}")
        self._check_dtype(out.dtype)
        if not out.flags.c_contiguous:
            flat = np.empty(self.count, out.dtype)
            self.copy_into(flat)
            out[...] = flat.reshape(out.shape)
            return
        flat = out.reshape(-1)
        done = 0
        for piece in self._pieces:
            for values in _values(self._source, piece, self.dtype):
                _store(values, flat[done : done + values.size], done)
                done += values.size
            release(self._source, piece.start, piece.stop)

    def _check_dtype(self, dtype: np.dtype[Any]) -> None:
        kinds = "f" if self.dtype.kind == "f" else "iub" if self.dtype.itemsize == 8 else "iu"
        fits = dtype.itemsize >= 4 if kinds == "f" else dtype.itemsize == 1 or self.dtype.itemsize == 8
        if dtype.kind not in kinds or not fits:
            what = {"f4": "floats", "i8": "integers", "u1": "a byte string"}[self.dtype.str[1:]]
            raise DTypeError(f"the values are {what}, which cannot fill a tensor of {dtype}")


def _values(source: Bytes, piece: Piece, dtype: np.dtype[Any]) -> Iterator[np.ndarray[Any, Any]]:
    """The piece's values in one or more arrays, views of the source where it holds them as they are."""
    if piece.kind == RAW:
        yield source[piece.start : piece.stop].view(dtype.newbyteorder("<"))
    elif piece.kind == FLOAT_RUN:
        for done in range(0, piece.size, _BLOCK_FLOATS):
            # From byte 1 of the first record on, every fifth byte starts a float: an unaligned strided view.
            begin = piece.start + 5 * done
            yield np.ndarray((min(_BLOCK_FLOATS, piece.size - done),), "<f4", source, begin + 1, (5,))
            release(source, begin, begin + 5 * _BLOCK_FLOATS)
    else:
        yield from _integers(source, piece)


def _store(values: np.ndarray[Any, Any], out: np.ndarray[Any, Any], done: int) -> None:
    if values.dtype.itemsize == 8 and out.dtype.kind in "iu" and values.size:
        info = np.iinfo(out.dtype)
        if values.min() < info.min or values.max() > info.max:
            index = int(np.argmax((values < info.min) | (values > info.max)))
            raise ArgumentError(f"value {values[index]} at index {done + index} does not fit {out.dtype}")
    if out.dtype.kind == "b":
        np.not_equal(values, 0, out=out)
    elif values.dtype.itemsize == 1:
        out.view(np.uint8)[...] = values
    else:
        out[...] = values


def _integers(source: Bytes, piece: Piece) -> Iterator[np.ndarray[Any, Any]]:
    """Decodes varints block by block; the piece is known to be well-formed."""
    position = piece.start
    tagged = piece.kind == INT_RUN
    while position < piece.stop:
        block = source[position : min(position + _BLOCK_BYTES, piece.stop)]
        ends = np.flatnonzero(block < 0x80)  # the last byte of every tag and varint
        if tagged:
            ends = ends[: ends.size // 2 * 2]
            starts, last = ends[0::2] + 1, ends[1::2]
        else:
            starts, last = np.concatenate(([0], ends[:-1] + 1)), ends
        yield _decode(block, starts, last)
        position += int(last[-1]) + 1


def _decode(block: Bytes, starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The int64 values of the varints in block[starts[i]..ends[i]]."""
    values = (block[starts] & 0x7F).astype(np.uint64)
    for k in range(1, int((ends - starts).max()) + 1):
        longer = np.flatnonzero(ends - starts >= k)
        values[longer] |= (block[starts[longer] + k] & 0x7F).astype(np.uint64) << np.uint64(7 * k)
    return values.view(np.int64)
