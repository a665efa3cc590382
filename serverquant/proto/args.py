"""An operator's arguments read by type, and Arguments made from Python values.

Caffe2's rules: a number is read from one field only (an integer from `i`, a float from `f`), an argument with no field
set is an empty list, a name may occur twice only with equal contents.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from typing import Any, overload

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.proto import Argument, NetDef, OperatorDef
from serverquant.proto.io import net_fault
from serverquant.proto.payload import Payload
from serverquant.proto.scan import delimited

_KINDS = {
    "f": "a float (f)",
    "i": "an integer (i)",
    "s": "a string (s)",
    "t": "a tensor (t)",
    "n": "a net (n)",
    "floats": "a list of floats (floats)",
    "ints": "a list of integers (ints)",
    "strings": "a list of strings (strings)",
    "tensors": "a list of tensors (tensors)",
    "nets": "a list of nets (nets)",
    "qtensors": "a list of quantized tensors (qtensors)",
}


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()
"""Default that makes a missing argument an ArgumentError."""


class Arguments:
    """The arguments of one operator, read by name and type.

    `payloads` are those that `wire.read_net` left in the file; they read like any other argument. Every reader returns
    `default` where the argument is missing (an ArgumentError by default), and raises ArgumentError where it holds
    another kind of value.
    """

    __slots__ = ("_args", "_payloads")

    def __init__(self, op: OperatorDef, payloads: Mapping[str, Payload] | None = None):
        args: dict[str, Any] = {}
        for arg in op.arg:
            name = arg.name
            if type(name) is not str:  # protobuf gives bytes for text that is not UTF-8
                raise ArgumentError(f"an argument's name is not UTF-8: {name!r}")
            if name in args and arg.SerializeToString() != args[name].SerializeToString():
                raise ArgumentError(f'argument "{name}" is given twice, with different contents; remove one')
            args[name] = arg
        self._args = args
        self._payloads = payloads or {}

    def __repr__(self) -> str:
        return f"Arguments({', '.join(self._args)})"

    def changed(self, op: OperatorDef) -> Arguments:
        """The reader of an operator that differs from this one's in small arguments: the payloads are the same."""
        return Arguments(op, self._payloads)

    def names(self) -> tuple[str, ...]:
        """The names, in the order of the operator's arguments."""
        return tuple(self._args)

    def has(self, name: str) -> builtins.bool:
        return name in self._args

    def kind(self, name: str) -> str | None:
        """The field that holds the argument (`"i"`, `"floats"`, ...); "" for an empty list, None if missing."""
        arg = self._args.get(name)
        if arg is None:
            return None
        if name in self._payloads:
            return self._payloads[name].field
        return next((field.name for field, _ in arg.ListFields() if field.name != "name"), "")

    def value(self, name: str, default: Any = REQUIRED) -> Any:
        """The value of whatever kind it is: number, bytes, message, or list of these."""
        kind = self.kind(name)
        if kind is None:
            return self._missing(name, default)
        if kind == "":
            return []
        return self._list(name, kind, default) if kind.endswith("s") and kind != "s" else self._one(name, kind, default)

    @overload
    def int(self, name: str, default: builtins.int = ..., *, bits: builtins.int = ...) -> builtins.int: ...
    @overload
    def int(self, name: str, default: None, *, bits: builtins.int = ...) -> builtins.int | None: ...
    def int(self, name: str, default: Any = REQUIRED, *, bits: builtins.int = 32) -> Any:
        """An integer; one that does not fit a signed number of so many bits is an error."""
        value = self._one(name, "i", default)
        if name in self._args:
            _check_range(name, (value,), bits)
        return value

    @overload
    def float(self, name: str, default: builtins.float = ...) -> builtins.float: ...
    @overload
    def float(self, name: str, default: None) -> builtins.float | None: ...
    def float(self, name: str, default: Any = REQUIRED) -> Any:
        """A float32, as the Python float of equal value."""
        return self._one(name, "f", default)

    @overload
    def bool(self, name: str, default: builtins.bool = ...) -> builtins.bool: ...
    @overload
    def bool(self, name: str, default: None) -> builtins.bool | None: ...
    def bool(self, name: str, default: Any = REQUIRED) -> Any:
        """An integer read as a truth value."""
        value = self._one(name, "i", default)
        return value if name not in self._args else value != 0

    @overload
    def bytes(self, name: str, default: builtins.bytes = ...) -> builtins.bytes: ...
    @overload
    def bytes(self, name: str, default: None) -> builtins.bytes | None: ...
    def bytes(self, name: str, default: Any = REQUIRED) -> Any:
        return self._one(name, "s", default)

    @overload
    def string(self, name: str, default: str = ...) -> str: ...
    @overload
    def string(self, name: str, default: None) -> str | None: ...
    def string(self, name: str, default: Any = REQUIRED) -> Any:
        """A string in UTF-8."""
        value = self._one(name, "s", default)
        return _text(name, value) if name in self._args else value

    def net(self, name: str, default: Any = REQUIRED) -> Any:
        """A NetDef, with a type in every operator."""
        net = self._one(name, "n", default)
        if name in self._args:
            _check_nets(name, [net])
        return net

    def tensor(self, name: str, default: Any = REQUIRED) -> Any:
        """A TensorProto."""
        return self._one(name, "t", default)

    @overload
    def ints(self, name: str, default: list[builtins.int] = ..., *, bits: builtins.int = ...) -> list[builtins.int]: ...
    @overload
    def ints(self, name: str, default: None, *, bits: builtins.int = ...) -> list[builtins.int] | None: ...
    def ints(self, name: str, default: Any = REQUIRED, *, bits: builtins.int = 64) -> Any:
        """Integers; one that does not fit a signed number of so many bits is an error."""
        values = self._list(name, "ints", default)
        if bits < 64 and name in self._args:
            _check_range(name, values, bits)
        return values

    @overload
    def floats(self, name: str, default: list[builtins.float] = ...) -> list[builtins.float]: ...
    @overload
    def floats(self, name: str, default: None) -> list[builtins.float] | None: ...
    def floats(self, name: str, default: Any = REQUIRED) -> Any:
        return self._list(name, "floats", default)

    @overload
    def strings(self, name: str, default: list[builtins.bytes] = ...) -> list[builtins.bytes]: ...
    @overload
    def strings(self, name: str, default: None) -> list[builtins.bytes] | None: ...
    def strings(self, name: str, default: Any = REQUIRED) -> Any:
        """Byte strings: Caffe2 does not say that they are text."""
        return self._list(name, "strings", default)

    def nets(self, name: str, default: Any = REQUIRED) -> Any:
        """NetDefs, with a type in every operator."""
        nets = self._list(name, "nets", default)
        if name in self._args:
            _check_nets(name, nets)
        return nets

    def tensors(self, name: str, default: Any = REQUIRED) -> Any:
        """TensorProtos."""
        return self._list(name, "tensors", default)

    def payload(self, name: str) -> Payload | None:
        """The floats, ints, byte string or only string of an argument, wherever they are.

        None if it is missing or an empty list; ArgumentError if it holds anything else.
        """
        if name in self._payloads:
            return self._payloads[name]
        kind = self.kind(name)
        if not kind:
            return None
        values = getattr(self._args[name], kind)
        if kind == "strings" and len(values) == 1:
            values = values[0]
        elif kind not in ("floats", "ints", "s"):
            raise ArgumentError(f'argument "{name}" holds {_KINDS[kind]}, expected floats, ints or one byte string')
        return Payload.of_values(values, kind)

    def _missing(self, name: str, default: Any) -> Any:
        if default is REQUIRED:
            raise ArgumentError(f'argument "{name}" is missing and has no default')
        return default

    def _one(self, name: str, field: str, default: Any) -> Any:
        arg = self._args.get(name)
        if arg is None:
            return self._missing(name, default)
        if arg.HasField(field):
            return getattr(arg, field)
        if name in self._payloads and self.kind(name) == field:
            return self._payloads[name].array().tobytes()
        raise self._wrong(name, field)

    def _list(self, name: str, field: str, default: Any) -> Any:
        arg = self._args.get(name)
        if arg is None:
            return self._missing(name, default)
        values = list(getattr(arg, field))
        if not values and (kind := self.kind(name)):
            if kind != field:
                raise self._wrong(name, field)
            array = self._payloads[name].array()
            return [array.tobytes()] if field == "strings" else array.tolist()
        return values

    def _wrong(self, name: str, field: str) -> ArgumentError:
        found = _KINDS.get(self.kind(name) or "", "an empty list (no field set)")
        return ArgumentError(f'argument "{name}" holds {found}, expected {_KINDS[field]}')


def _check_range(name: str, values: Iterable[int], bits: int) -> None:
    limit = 1 << (bits - 1)
    for value in values:
        if not -limit <= value < limit:
            raise ArgumentError(f'argument "{name}" is {value}, which does not fit {bits} bits')


def _check_nets(name: str, nets: Iterable[Any]) -> None:
    for net in nets:
        if fault := net_fault(net):
            raise ArgumentError(f'argument "{name}" holds a net that cannot be used: {fault}')


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ArgumentError(f'argument "{name}" is not UTF-8 text: {value[:40]!r}') from error


def make_argument(name: str, value: Any) -> Argument:
    """An Argument from a Python value, of the kind that Caffe2's core.CreateOperator chooses.

    bool and int -> i; float -> f; str and bytes -> s; a NetDef -> n; any other message -> s, serialized, as in Caffe2
    (a TensorProto too); lists, tuples and other iterables of one of these -> ints, floats, strings, nets; an empty one
    -> no field. numpy scalars are Python's; arrays are flattened, and their dtype decides. Messages may come from
    another runtime. ArgumentError for anything else, as for a list that mixes kinds.
    """
    argument = Argument(name=name)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        _set_array(argument, value)
    elif _single_field(value):
        _set_single(argument, value)
    elif isinstance(value, Iterable):
        _set_list(argument, list(value))
    else:
        raise ArgumentError(f'argument "{name}": a {type(value).__name__} cannot be an argument; give {_ALLOWED}')
    return argument


_ALLOWED = "a number, string, bytes, NetDef or other message, or a list of one of these"


def _single_field(value: Any) -> str:
    """The Argument field that a single value belongs to, or ""."""
    if isinstance(value, (bool, int)):
        return "i"
    if isinstance(value, float):
        return "f"
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return "s"
    if hasattr(value, "SerializeToString"):
        return "n" if _is_net(value) else "s"
    return ""


def _is_net(value: Any) -> bool:
    descriptor = getattr(value, "DESCRIPTOR", None)
    return getattr(descriptor, "full_name", "") == "caffe2.NetDef"


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if hasattr(value, "SerializeToString"):
        return bytes(value.SerializeToString())
    return bytes(value)


def _our_net(value: Any) -> Any:
    return value if isinstance(value, NetDef) else NetDef.FromString(value.SerializeToString())


def _set_single(argument: Any, value: Any) -> None:
    field = _single_field(value)
    if field == "n":
        argument.n.CopyFrom(_our_net(value))
    elif field == "s":
        argument.s = _bytes(value)
    else:
        _checked(argument.name, lambda: setattr(argument, field, int(value) if field == "i" else value))


def _set_array(argument: Any, array: np.ndarray[Any, Any]) -> None:
    kind = array.dtype.kind
    flat = array.ravel()
    if array.dtype == np.float32:
        # As one packed field: millions of floats at memory speed. The message writes them unpacked, as Caffe2 does.
        argument.MergeFromString(delimited(Argument.FLOATS_FIELD_NUMBER, flat.astype("<f4").tobytes()))
    elif kind == "f":
        argument.floats.extend(flat.tolist())
    elif kind in "iub":
        _checked(argument.name, lambda: argument.ints.extend(map(int, flat.tolist())))
    else:
        _set_list(argument, flat.tolist())


def _set_list(argument: Any, values: list[Any]) -> None:
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    fields = {_single_field(v) for v in values}
    if len(fields) > 1 or "" in fields:
        names = sorted({type(v).__name__ for v in values})
        raise ArgumentError(f'argument "{argument.name}": a list of {" and ".join(names)}; give {_ALLOWED}')
    if fields == {"i"}:
        _checked(argument.name, lambda: argument.ints.extend(map(int, values)))
    elif fields == {"f"}:
        argument.floats.extend(values)
    elif fields == {"s"}:
        argument.strings.extend(_bytes(v) for v in values)
    elif fields == {"n"}:
        argument.nets.extend(_our_net(v) for v in values)


def _checked(name: str, assign: Any) -> None:
    """Runs an assignment of integers that protobuf refuses where they do not fit 64 bits (or are bools, from 7 on)."""
    try:
        assign()
    except (ValueError, OverflowError) as error:
        raise ArgumentError(f'argument "{name}": an integer does not fit 64 bits') from error
