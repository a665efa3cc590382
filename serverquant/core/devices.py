"""Devices of blobs. Operators run on the CPU, so the answers are the operator's own device option, and no copies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serverquant import proto
from serverquant.core.net import Net

_GPUS = (proto.CUDA, proto.HIP)


def IsGPUDeviceType(device_type: int) -> bool:
    return device_type in _GPUS


def device_option_equal(a: Any, b: Any, ignore_node_name: bool = True, ignore_random_seed: bool = True) -> bool:
    """Whether two device options mean the same device. The id of a CPU says nothing."""
    if not a or not b:
        return a is b or a == b
    if not ignore_node_name and a.node_name != b.node_name:
        return False
    if not ignore_random_seed and a.random_seed != b.random_seed:
        return False
    if not a.device_type or not b.device_type:
        return not a.device_type and not b.device_type
    return bool(a.device_id == b.device_id and a.device_type == b.device_type)


def InferOpBlobDevices(op: Any) -> tuple[list[Any], list[Any]]:
    """Device options of an operator's inputs and outputs."""
    option = op.device_option if op.HasField("device_option") else proto.DeviceOption()
    return [option] * len(op.input), [option] * len(op.output)


def InferOpBlobDevicesAsDict(op: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same by name."""
    inputs, outputs = InferOpBlobDevices(op)
    return dict(zip(op.input, inputs)), dict(zip(op.output, outputs))


def InferBlobDevices(net: Any) -> dict[str, Any]:
    """Device options of all blobs that a net makes, by name."""
    found: dict[str, Any] = {}
    for op in net.Proto().op:
        found.update(InferOpBlobDevicesAsDict(op)[1])
    return found


def InjectCrossDeviceCopies(
    net: Net,
    blob_to_device: dict[str, Any] | None = None,
    blob_remap: dict[str, str] | None = None,
    placeHolderOps: Iterable[str] | None = None,
) -> tuple[Net, dict[str, Any]]:
    """A copy of the net and the devices of its blobs. Nothing is copied between devices where there is one."""
    devices = {**(blob_to_device or {}), **InferBlobDevices(net)}
    return net.Clone(net.Name(), blob_remap), devices


def InjectDeviceCopiesAmongNets(
    nets: Iterable[Net], blob_to_device_init: dict[str, Any] | None = None
) -> tuple[list[Net], dict[str, Any]]:
    """The same for nets that run one after the other."""
    devices = dict(blob_to_device_init or {})
    copies = []
    for net in nets:
        copy, devices = InjectCrossDeviceCopies(net, devices)
        copies.append(copy)
    return copies, devices


def InjectDeviceCopiesAmongNetsWithoutB2D(
    nets: Iterable[Net], blob_to_device_init: dict[str, Any] | None = None
) -> list[Net]:
    """The nets of InjectDeviceCopiesAmongNets."""
    return InjectDeviceCopiesAmongNets(nets, blob_to_device_init)[0]
