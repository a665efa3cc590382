"""Building nets in Python, with Caffe2's names: operators, nets, blob references, scopes.

net = core.Net("example")
net.AddExternalInput("X", "W", "b")
y = net.Relu(net.FC(["X", "W", "b"], "fc"), "y")
net.AddExternalOutput(y)
workspace.RunNetOnce(net)
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import serverquant.ops  # noqa: F401 - makes the built-in operators known
from serverquant import proto
from serverquant._base.errors import ArgumentError, NetError
from serverquant.blobs.store import blob_name, closest
from serverquant.proto.args import make_argument
from serverquant.runtime import registry

DataType = proto.TensorProto
_scopes = threading.local()


# ---- devices and scopes ------------------------------------------------------------------------------------------


def DeviceOption(
    device_type: int = proto.CPU, device_id: int = 0, random_seed: int | None = None, node_name: str | None = None
) -> Any:
    """A DeviceOption message. Only CPU devices exist here; anything else is an ArgumentError."""
    if device_type != proto.CPU:
        raise ArgumentError(f"only CPU devices are supported, not device type {device_type}")
    option = proto.DeviceOption(device_type=device_type, device_id=device_id)
    if random_seed is not None:
        option.random_seed = random_seed
    if node_name is not None:
        option.node_name = node_name
    return option


@contextlib.contextmanager
def DeviceScope(device_option: Any, node_name: str | None = None) -> Iterator[Any]:
    """Operators made inside get this device option."""
    if device_option is not None and device_option.device_type != proto.CPU:
        raise ArgumentError(f"only CPU devices are supported, not device type {device_option.device_type}")
    before = CurrentDeviceScope()
    _scopes.device = device_option
    try:
        yield device_option
    finally:
        _scopes.device = before


def CurrentDeviceScope() -> Any:
    """The device option of the innermost DeviceScope, or None."""
    return getattr(_scopes, "device", None)


@contextlib.contextmanager
def NameScope(prefix: str, reset: bool = False) -> Iterator[str]:
    """Prefixes scoped names made inside with `prefix/`; scopes nest unless `reset`."""
    before = CurrentNameScope()
    _scopes.name = ("" if reset else before) + (f"{prefix}/" if prefix else "")
    try:
        yield _scopes.name
    finally:
        _scopes.name = before


def CurrentNameScope() -> str:
    """The prefix that NameScope gives, "" outside."""
    return getattr(_scopes, "name", "")


def ScopedName(name: Any) -> str:
    """The name with the current scope's prefix."""
    return CurrentNameScope() + blob_name(name)


def ScopedBlobReference(name: Any, net: Net | None = None) -> BlobReference:
    """A reference to the name with the current scope's prefix."""
    return BlobReference(ScopedName(name), net)


# ---- blob references ---------------------------------------------------------------------------------------------


class BlobReference:
    """A blob by name, with the net that makes it. Calling an operator on it adds one to that net: `x.Relu("y")`."""

    def __init__(self, name: Any, net: Net | None = None):
        self._name, self._from_net = blob_name(name), net

    def GetUnscopedName(self) -> str:
        """The name without its scopes."""
        return self._name.rsplit("/", 1)[-1]

    def Net(self) -> Net | None:
        """The net that it was made for."""
        return self._from_net

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f'BlobReference("{self._name}")'

    def __hash__(self) -> int:
        return hash(self._name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (str, bytes, BlobReference)) and self._name == blob_name(other)

    def __add__(self, other: Any) -> BlobReference:
        return BlobReference(self._name + blob_name(other), self._from_net)

    def __radd__(self, other: Any) -> BlobReference:
        return BlobReference(blob_name(other) + self._name, self._from_net)

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if op_type.startswith("_") or not IsOperator(op_type):
            raise AttributeError(f"a blob reference has no {op_type}, and no operator is called so")
        if self._from_net is None:
            raise AttributeError(f'blob "{self._name}" belongs to no net; call {op_type} on the net instead')
        add = getattr(self._from_net, op_type)
        return lambda *args, **kwargs: add([self, *_names(args[0] if len(args) > 1 else [])], *args[-1:], **kwargs)


def _names(blobs: Any) -> list[Any]:
    """A list of blobs from one or several; one named by str, bytes or a reference counts as one."""
    if blobs is None:
        return []
    if isinstance(blobs, (str, bytes, BlobReference)):
        return [blobs]
    return list(blobs)


# ---- operators ---------------------------------------------------------------------------------------------------


def IsOperator(op_type: str) -> bool:
    """Whether there is an operator of that type."""
    return op_type in registry.types()


def IsOperatorWithEngine(op_type: str, engine: str) -> bool:
    """Whether that type has that engine; "DEFAULT" is the one without a name."""
    return IsOperator(op_type) and ("" if engine == "DEFAULT" else engine) in registry.engines(op_type)


def CreateOperator(
    operator_type: str,
    inputs: Any,
    outputs: Any,
    name: str = "",
    control_input: Any = None,
    device_option: Any = None,
    arg: Iterable[Any] | None = None,
    engine: str | None = None,
    debug_info: str | None = None,
    **kwargs: Any,
) -> Any:
    """An OperatorDef.

    inputs, outputs, control_input: names (str, bytes, BlobReference), one or several. arg: Argument messages.
    kwargs: arguments by name: numbers, bools, strings, bytes, numpy scalars and arrays, lists of these, NetDefs and
    other messages.
    """
    operator = proto.OperatorDef(type=operator_type, name=name)
    operator.input.extend(blob_name(n) for n in _names(inputs))
    operator.output.extend(blob_name(n) for n in _names(outputs))
    operator.control_input.extend(blob_name(n) for n in _names(control_input))
    device_option = device_option if device_option is not None else CurrentDeviceScope()
    if device_option is not None:
        operator.device_option.ParseFromString(device_option.SerializeToString())
    if engine is not None:
        operator.engine = engine
    if debug_info is not None:
        operator.debug_info = debug_info
    for argument in arg or ():
        operator.arg.add().ParseFromString(argument.SerializeToString())
    for key, value in kwargs.items():
        if value is not None:
            operator.arg.append(make_argument(key, value))
    return operator


# ---- nets --------------------------------------------------------------------------------------------------------


class Net:
    """A net under construction. `net.Type(inputs, outputs, **arguments)` adds an operator of that type.

    Inputs that nothing in the net makes become external inputs. Outputs may be left out (a name is chosen), be a
    number (so many names), or names; the result is one BlobReference, or a tuple of them. Names of nets are made
    unique in the process by a number behind them.
    """

    _taken: set[str] = set()

    def __init__(self, name_or_proto: Any, inplace: bool = False):
        self._counter = 0
        if isinstance(name_or_proto, (str, bytes)):
            self._net = proto.NetDef(name=self._unique(blob_name(name_or_proto)))
        elif inplace:
            self._net = name_or_proto
        else:
            from serverquant.proto.io import load_net

            self._net = proto.NetDef()
            self._net.CopyFrom(load_net(name_or_proto))
            self._net.name = self._unique(self._net.name)
        self._made = {name for op in self._net.op for name in op.output}

    @classmethod
    def _unique(cls, name: str) -> str:
        base = ScopedName(name)
        found, number = base, 0
        while found in cls._taken:
            number += 1
            found = f"{base}_{number}"
        cls._taken.add(found)
        return found

    def Proto(self) -> Any:
        """The NetDef message itself; changes to it change the net."""
        return self._net

    def Name(self) -> str:
        return self._net.name

    def __str__(self) -> str:
        return self._net.name

    def __repr__(self) -> str:
        inputs = ", ".join(self._net.external_input) or "none"
        return f'<Net "{self.Name()}": {len(self._net.op)} operators, inputs {inputs}>'

    # ---- names ----------------------------------------------------------------------------------------------------

    def NextName(self, prefix: str | None = None, output_id: int | None = None) -> str:
        """A blob name that the net does not use yet."""
        base = blob_name(prefix) if prefix else self.Name() + "/blob"
        if output_id is not None:
            base += f":{output_id}"
        name = base
        while self.BlobIsDefined(name):
            self._counter += 1
            name = f"{base}_{self._counter}"
        self._made.add(name)
        return name

    def NextBlob(self, prefix: str | None = None) -> BlobReference:
        """A reference to a name that the net does not use yet."""
        return BlobReference(self.NextName(prefix), self)

    def NextScopedBlob(self, prefix: str = "unnamed") -> BlobReference:
        """The same, with the current scope's prefix."""
        return self.NextBlob(ScopedName(prefix))

    def BlobIsDefined(self, blob: Any) -> bool:
        """Whether the blob is an external input or an output of the net."""
        return blob_name(blob) in self._made or blob_name(blob) in self._net.external_input

    # ---- inputs and outputs ---------------------------------------------------------------------------------------

    def AddExternalInput(self, *blobs: Any) -> Any:
        """Declare blobs that come from outside. Returns a reference, or a tuple of them."""
        for blob in blobs:
            if blob_name(blob) in self._net.external_input:
                raise NetError(f'"{blob_name(blob)}" is an external input of net "{self.Name()}" already')
            self._net.external_input.append(blob_name(blob))
        return _one_or_all([BlobReference(blob, self) for blob in blobs])

    def AddExternalInputs(self, *blobs: Any) -> list[BlobReference]:
        return [self.AddExternalInput(blob) for blob in blobs]

    def AddScopedExternalInputs(self, *blobs: Any) -> Any:
        """AddExternalInput with the current scope's prefix."""
        return self.AddExternalInput(*(ScopedName(blob) for blob in blobs))

    def AddExternalOutput(self, *blobs: Any) -> None:
        """Declare blobs that are results; each must be made by the net or be an input of it."""
        for blob in blobs:
            name = blob_name(blob)
            if not self.BlobIsDefined(name):
                raise NetError(f'"{name}" is not made by net "{self.Name()}"{closest(name, sorted(self._made))}')
            if name not in self._net.external_output:
                self._net.external_output.append(name)

    def AddExternalOutputs(self, *blobs: Any) -> None:
        self.AddExternalOutput(*blobs)

    @property
    def external_inputs(self) -> list[BlobReference]:
        return [BlobReference(name, self) for name in self._net.external_input]

    @property
    def external_outputs(self) -> list[BlobReference]:
        return [BlobReference(name, self) for name in self._net.external_output]

    # ---- copies ---------------------------------------------------------------------------------------------------

    def Clone(self, name: str, blob_remap: dict[str, Any] | None = None) -> Net:
        """A copy under another name, with blobs renamed as `blob_remap` says."""
        renamed = {blob_name(k): blob_name(v) for k, v in (blob_remap or {}).items()}
        copy = Net(name)
        kept = copy._net.name
        copy._net.CopyFrom(self._net)
        copy._net.name = kept
        for op in copy._net.op:
            op.input[:] = [renamed.get(n, n) for n in op.input]
            op.output[:] = [renamed.get(n, n) for n in op.output]
        for listed in (copy._net.external_input, copy._net.external_output):
            listed[:] = [renamed.get(n, n) for n in listed]
        copy._made = {name for op in copy._net.op for name in op.output}
        return copy

    def AppendNet(self, net: Net) -> Net:
        """Add another net's operators behind this one's; what this net makes is no external input of the result."""
        other = net.Proto()
        for name in other.external_input:
            if not self.BlobIsDefined(name):
                self._net.external_input.append(name)
        self._net.op.extend(other.op)
        self._made.update(name for op in other.op for name in op.output)
        self.AddExternalOutput(*other.external_output)
        return self

    # ---- operators ------------------------------------------------------------------------------------------------

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if op_type.startswith("_"):
            raise AttributeError(op_type)
        if not IsOperator(op_type):
            near = closest(op_type, registry.types())
            raise AttributeError(f"a net has no {op_type}, and no operator is called so{near}")
        return lambda *args, **kwargs: self._add(op_type, *args, **kwargs)

    def _add(self, op_type: str, inputs: Any = (), outputs: Any = 1, *args: Any, **kwargs: Any) -> Any:
        names = _names(inputs)
        made = self._output_names(op_type, outputs)
        for name in map(blob_name, names):
            if not self.BlobIsDefined(name):
                self._net.external_input.append(name)
        operator = CreateOperator(op_type, names, made, *args, **kwargs)
        self._net.op.append(operator)
        self._made.update(operator.output)
        return _one_or_all([BlobReference(name, self) for name in operator.output])

    def _output_names(self, op_type: str, outputs: Any) -> list[Any]:
        if isinstance(outputs, int):
            base = f"{self.Name()}/{op_type}"
            return [self.NextName(base, i if outputs > 1 else None) for i in range(outputs)]
        return _names(outputs)


def _one_or_all(references: list[BlobReference]) -> Any:
    return references[0] if len(references) == 1 else tuple(references)
