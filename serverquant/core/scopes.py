"""Name scopes and device scopes, one stack of them in every thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from serverquant import proto

_scopes = threading.local()


def DeviceOption(
    device_type: int = proto.CPU,
    device_id: int = 0,
    random_seed: int | None = None,
    node_name: str | None = None,
    numa_node_id: int | None = None,
    extra_info: Iterable[str] | None = None,
) -> Any:
    """A DeviceOption message. Others than the CPU can be written down; operators run on the CPU alone."""
    option = proto.DeviceOption(device_type=device_type, device_id=device_id)
    if random_seed is not None:
        option.random_seed = random_seed
    if node_name is not None:
        option.node_name = node_name
    if numa_node_id is not None:
        option.numa_node_id = numa_node_id
    option.extra_info.extend(extra_info or ())
    return option


@contextlib.contextmanager
def DeviceScope(scope: Any, node_name: str | None = None) -> Iterator[Any]:
    """Operators made inside get this device option (a message, or a device type). What it leaves open (the node's name)
    comes from the scope around it, whose extra_info goes before its own."""
    option = proto.DeviceOption()
    if isinstance(scope, int):
        option.device_type = scope
    else:
        option.ParseFromString(scope.SerializeToString())
    if node_name is not None:
        option.node_name = node_name
    around = CurrentDeviceScope()
    if around is not None:
        if not option.HasField("node_name") and around.HasField("node_name"):
            option.node_name = around.node_name
        option.extra_info[:] = [*around.extra_info, *option.extra_info]
    with _device(option):
        yield option


def EmptyDeviceScope() -> Any:
    """Operators made inside get no device option, whatever is around."""
    return _device(None)


@contextlib.contextmanager
def _device(option: Any) -> Iterator[None]:
    before = CurrentDeviceScope()
    _scopes.device = option
    try:
        yield
    finally:
        _scopes.device = before


def CurrentDeviceScope() -> Any:
    """The device option of the innermost DeviceScope, or None."""
    return getattr(_scopes, "device", None)


@contextlib.contextmanager
def NameScope(prefix: str, reset: bool = False) -> Iterator[str]:
    """Prefixes names made inside with `prefix/`; scopes nest unless `reset`."""
    before = CurrentNameScope()
    _scopes.name = ("" if reset else before) + (f"{prefix}/" if prefix else "")
    try:
        yield _scopes.name
    finally:
        _scopes.name = before


def EmptyNameScope() -> Any:
    """Names made inside get no prefix, whatever is around."""
    return NameScope("", reset=True)


def CurrentNameScope() -> str:
    """The prefix that NameScope gives, "" outside."""
    return getattr(_scopes, "name", "")
