"""Messages from and to files.

A source is one of

- a path (str or PathLike): `.pb` is binary, `.pbtxt` and `.prototxt` are text, of others the contents decide;
- bytes, binary or text;
- one of our messages, returned as it is;
- a message of another runtime, such as Caffe2's own `caffe2_pb2.NetDef`, taken by its serialized bytes;
- anything with a `Proto()` that gives one of these, such as `core.Net`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from google.protobuf import text_format
from google.protobuf.message import DecodeError, EncodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from serverquant import proto
from serverquant._base.errors import ParseError
from serverquant.proto.faults import MAX_NESTING, find_fault

_BINARY_SUFFIXES = (".pb",)
_TEXT_SUFFIXES = (".pbtxt", ".prototxt")
_TEXT_START = re.compile(rb"(?:\s|#[^\n]*\n)*[A-Za-z_]\w*\s*[:{<]")
# What protobuf raises for bytes that it does not take; its pure Python form also for text that is not UTF-8.
_REFUSALS = (DecodeError, RecursionError, UnicodeDecodeError)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_TEXT_TOKEN = re.compile(rb"[\"'#{}<>]")
_STRING_END = {b'"': re.compile(rb'[\\"\n]'), b"'": re.compile(rb"[\\'\n]")}


class Source(NamedTuple):
    """An opened source: a message of ours, or the bytes of one."""

    label: str  # what errors call it
    message: Any = None
    data: Any = b""  # bytes or mmap
    is_text: bool = False


def load_net(source: Any) -> proto.NetDef:
    """The whole NetDef of any source (see the module), to look at or to change. ParseError where it is not one."""
    return load(source, proto.NetDef)


def load_meta_net(source: Any) -> proto.MetaNetDef:
    """The MetaNetDef of any source: a whole predictor in one message."""
    return load(source, proto.MetaNetDef)


def load(source: Any, message_class: Any) -> Any:
    """A message of the class from any source. ParseError where it is not one."""
    return load_opened(open_source(source, message_class), message_class)


def load_opened(opened: Source, message_class: Any) -> Any:
    """The message of a source that is open."""
    if opened.message is not None:
        return opened.message
    if opened.is_text:
        return parse_text(bytes(opened.data), message_class, opened.label)
    return parse(bytes(opened.data), message_class, opened.label)


def save(message: Any, path: str | os.PathLike[str], *, text: bool | None = None) -> None:
    """Writes a message, as text where `text` says so or, by default, the suffix does (.pbtxt, .prototxt).

    The file is replaced as a whole, never cut short under a reader that has it mapped.
    """
    if text is None:
        text = _suffix(path) in _TEXT_SUFFIXES
    replace_file(path, to_text(message).encode() if text else serialized(message))


# What numpy, zipfile and zlib raise for a file of arrays (.npy, .npz) that is damaged, or none.
ARRAY_FAULTS = (
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: what was there stays until the new one is complete."""
    target = os.path.realpath(path)
    part = f"{target}.{os.getpid()}.part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def to_text(message: Any) -> str:
    """The text form, with the shortest decimal that gives back each float."""
    text: str = text_format.MessageToString(message)
    return text


def open_source(source: Any, message_class: Any) -> Source:
    """Sorts a source out without parsing it. A file is mapped, not read."""
    if isinstance(source, message_class):
        return Source("the message", message=source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        _check_not_empty(data, "the data")
        return Source("the data", data=data, is_text=_looks_like_text(data))
    if isinstance(source, (str, os.PathLike)):
        return _open_file(os.fspath(source))
    if hasattr(source, "SerializeToString"):
        return Source("the message", data=_foreign_bytes(source, message_class))
    if callable(getattr(source, "Proto", None)):
        return open_source(source.Proto(), message_class)
    raise ParseError(
        f"a {type(source).__name__} is no source of a {message_class.__name__}; "
        "give a path, bytes, a message, or something with Proto()"
    )


def _suffix(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(os.fspath(path))[1].lower()


def _open_file(path: str) -> Source:
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size:
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        else:  # a pipe, or a file of /proc, cannot be mapped
            data = file.read()
    _check_not_empty(data, path)
    suffix = _suffix(path)
    is_text = suffix in _TEXT_SUFFIXES or (suffix not in _BINARY_SUFFIXES and _looks_like_text(data[:4096]))
    return Source(path, data=data, is_text=is_text)


def _foreign_bytes(message: Any, message_class: Any) -> bytes:
    full_name = getattr(getattr(message, "DESCRIPTOR", None), "full_name", None)
    expected = message_class.DESCRIPTOR.full_name
    if full_name not in (None, expected):
        raise ParseError(f"the message is a {full_name}, expected a {expected}")
    return serialized(message)


def serialized(message: Any) -> bytes:
    """The bytes of a message of any runtime. ParseError where it nests too deep or lacks a required field."""
    try:
        return bytes(message.SerializeToString())
    except (EncodeError, RecursionError) as error:
        raise ParseError(f"the message cannot be serialized: {error}") from error


def _check_not_empty(data: Any, label: str) -> None:
    if not data:
        raise ParseError(f"{label} is empty")


def _looks_like_text(data: bytes) -> bool:
    head = data[:4096]
    return _TEXT_START.match(head) is not None and _CONTROL.search(head) is None


# ---- binary ----------------------------------------------------------------------------------------------------------


def parse(data: bytes, message_class: Any, label: str = "the data") -> Any:
    """A checked message from its wire format."""
    message = decode(data, message_class, label)
    check(message, data, label)
    return message


def decode(data: bytes, message_class: Any, label: str) -> Any:
    """A message from its wire format, not checked further. ParseError names the first fault and where it is."""
    try:
        return message_class.FromString(data)
    except _REFUSALS as error:
        place, fault = find_fault(data, message_class.DESCRIPTOR)
        raise _not_a(message_class, data, label, fault or "its wire format is broken", place) from error


def _not_a(message_class: Any, data: bytes, label: str, fault: str, place: str = "") -> ParseError:
    hint = ""
    if _looks_like_text(data):
        hint = "; it looks like text (name the file .pbtxt)"
    elif other := _other_kind(data, message_class):
        hint = f"; it looks like {other}"
    where = f" ({place})" if place else ""
    return ParseError(f"{label} is not a {message_class.__name__}, or is damaged: {fault}{where}{hint}")


def _other_kind(data: bytes, message_class: Any) -> str:
    """The name of another kind of message that the bytes are a plausible one of, or ""."""
    for other, marks in _MARKS.items():
        try:
            message = getattr(proto, other).FromString(data)
        except _REFUSALS:
            continue
        known = not len(UnknownFieldSet(message)) and message.IsInitialized()
        if known and not isinstance(message, message_class) and any(marks(message)):
            return f"a{'n' if other[0] == 'O' else ''} {other}"
    return ""


# What tells a message from other bytes that can be read as one.
_MARKS: dict[str, Callable[[Any], Iterable[bool]]] = {
    "NetDef": lambda m: (bool(op.type) and type(op.type) is str for op in m.op),
    "MetaNetDef": lambda m: (bool(entry.value.op) for entry in m.nets),
    "PlanDef": lambda m: (bool(net.op) and not net_fault(net) for net in m.network),
    "OperatorDef": lambda m: [bool(m.type) and type(m.type) is str],
    "BlobProto": lambda m: [m.type == "Tensor"],
}


def check(message: Any, data: bytes, label: str) -> None:
    """ParseError where the bytes were taken by protobuf but are no such message: almost any bytes are some message."""
    fault = _first_fault(message)
    if fault:
        raise _not_a(type(message), data, label, fault)


def _first_fault(message: Any) -> str:
    if not message.IsInitialized():
        return f"{message.FindInitializationErrors()[0]} is missing"
    if isinstance(message, proto.NetDef):
        return net_fault(message)
    if isinstance(message, proto.MetaNetDef):
        return next(filter(None, (net_fault(entry.value) for entry in message.nets)), "") or _unknown_fault(message)
    return _unknown_fault(message)


def _unknown_fault(message: Any) -> str:
    if not message.ListFields() and len(UnknownFieldSet(message)):
        return "it holds no field of one"
    return ""


def net_fault(net: Any) -> str:
    """What is wrong with a parsed NetDef, or "". Text that is not UTF-8 comes from protobuf as bytes.

    Arguments, nested nets among them, are checked by `args` when they are read: there are many, and few are nets.
    """
    for index, op in enumerate(net.op):
        if not op.type:
            return f"operator {index} has no type"
        for text in (op.type, op.name, op.engine, *op.input, *op.output):
            if type(text) is not str:
                return f"operator {index} has a name that is not UTF-8: {text!r}"
    for text in (net.name, net.type, *net.external_input, *net.external_output):
        if type(text) is not str:
            return f"a name is not UTF-8: {text!r}"
    return "" if net.op else _unknown_fault(net)


# ---- text ------------------------------------------------------------------------------------------------------------


def parse_text(data: bytes, message_class: Any, label: str = "the text") -> Any:
    """A checked message from its text form."""
    check_text_nesting(data, label)
    message = message_class()
    try:
        text_format.Parse(data.decode(), message)
    except UnicodeDecodeError as error:
        hint = _binary_hint(data, message_class)
        raise ParseError(f"{label} is not UTF-8 text (byte {error.start}){hint}") from error
    except (text_format.ParseError, ValueError, RecursionError) as error:
        hint = _binary_hint(data, message_class)
        raise ParseError(f"{label} is not the text of a {message_class.__name__}: {error}{hint}") from error
    fault = _first_fault(message)
    if fault:
        raise ParseError(f"{label} is not the text of a {message_class.__name__}: {fault}")
    return message


def _binary_hint(data: bytes, message_class: Any) -> str:
    try:
        message = parse(data, message_class)
    except ParseError:
        return ""
    name = message_class.__name__
    return f"; it looks like a binary {name} (name the file .pb)" if any(_MARKS[name](message)) else ""


def check_text_nesting(data: bytes, label: str) -> None:
    """ParseError where braces nest deeper than MAX_NESTING: protobuf's text parser recurses without a limit."""
    depth = position = 0
    while token := _TEXT_TOKEN.search(data, position):
        position = token.end()
        found = token.group()
        if found in b"{<":
            depth += 1
            if depth > MAX_NESTING:
                line = data.count(b"\n", 0, position) + 1
                raise ParseError(f"{label} nests deeper than {MAX_NESTING} messages (line {line})")
        elif found in b"}>":
            depth -= 1
        elif found == b"#":
            line_end = data.find(b"\n", position)
            position = len(data) if line_end < 0 else line_end
        else:
            position = _after_string(data, position, found)


def _after_string(data: bytes, position: int, quote: bytes) -> int:
    """Where a quoted string ends; at its line's end if it is not closed, as the parser sees it."""
    end = _STRING_END[quote]
    while stop := end.search(data, position):
        if stop.group() != b"\\":
            return stop.end()
        position = stop.end() + 1  # the escaped character
    return len(data)
