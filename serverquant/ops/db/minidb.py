"""Caffe2's minidb: records one after the other, each the lengths of key and value (int32), the key, the value."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator

from serverquant._base.errors import MachineError, ParseError

_LENGTHS = struct.Struct("<ii")


def write(path: str, records: Iterable[tuple[str, bytes]]) -> None:
    """A new file of these records; the old one stays if writing fails."""
    try:
        with open(path + ".part", "wb") as file:
            for key, value in records:
                name = key.encode()
                file.write(_LENGTHS.pack(len(name), len(value)) + name + value)
        os.replace(path + ".part", path)
    except OSError as error:
        raise MachineError(f'cannot write "{path}": {error.strerror}') from error


def read(path: str) -> Iterator[tuple[str, bytes]]:
    """The records of a file. ParseError where it is cut short, or no minidb."""
    try:
        with open(path, "rb") as file:
            left = os.fstat(file.fileno()).st_size
            while head := file.read(_LENGTHS.size):
                left -= len(head)
                key, value = _LENGTHS.unpack(head) if len(head) == _LENGTHS.size else (-1, -1)
                if key <= 0 or value < 0 or key + value > left:
                    raise ParseError(f'"{path}" is no minidb file, or is cut short')
                left -= key + value
                yield file.read(key).decode("utf-8", "replace"), file.read(value)
    except OSError as error:
        raise MachineError(f'cannot read "{path}": {error.strerror}') from error
