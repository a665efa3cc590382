"""Entries of a MetaNetDef by key, and the nets of a predictor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from serverquant import core
from serverquant.core.net import Net


def _find(entries: Any, key: str) -> Any:
    return next((entry.value for entry in entries if entry.key == key), None)


def GetNet(meta_net_def: Any, key: str) -> Any:
    return _find(meta_net_def.nets, key)


def GetPlan(meta_net_def: Any, key: str) -> Any:
    return _find(meta_net_def.plans, key)


def GetBlobs(meta_net_def: Any, key: str) -> Any:
    found = _find(meta_net_def.blobs, key)
    return [] if found is None else found


def GetBlobsByTypePrefix(meta_net_def: Any, blob_type_prefix: str) -> list[str]:
    """Blobs of all entries whose key begins so, each once, in order."""
    listed = (name for entry in meta_net_def.blobs if entry.key.startswith(blob_type_prefix) for name in entry.value)
    return list(dict.fromkeys(listed))


def GetApplicationSpecificInfo(meta_net_def: Any, key: str) -> Any:
    return _find(meta_net_def.applicationSpecificInfo, key)


def AddNet(meta_net_def: Any, net_name: str, net_def: Any) -> None:
    meta_net_def.nets.add(key=net_name).value.CopyFrom(net_def)


def AddPlan(meta_net_def: Any, plan_name: str, plan_def: Any) -> None:
    meta_net_def.plans.add(key=plan_name).value.CopyFrom(plan_def)


def AddBlobs(meta_net_def: Any, blob_name: str, blob_def: Iterable[str]) -> None:
    """Add names to an entry, which is made if need be."""
    found = _find(meta_net_def.blobs, blob_name)
    if found is None:
        found = meta_net_def.blobs.add(key=blob_name).value
    found.extend(blob_def)


def ReplaceBlobs(meta_net_def: Any, blob_name: str, blob_def: Iterable[str]) -> None:
    found = _find(meta_net_def.blobs, blob_name)
    assert found is not None, f"there is no entry {blob_name}"
    found[:] = list(blob_def)


def get_comp_name(string: str, name: str | None) -> str:
    return f"{string}_{name}" if name else string


def GetArgumentByName(net_def: Any, arg_name: str) -> Any:
    return next((arg for arg in net_def.arg if arg.name == arg_name), None)


def AddModelIdArg(meta: Any, net_def: Any) -> None:
    """Give a net the argument model_id of the predict net, if that has one."""
    found = GetArgumentByName(meta.predict_net, "model_id")
    if found is not None:
        own = GetArgumentByName(net_def, "model_id")
        (net_def.arg.add(name="model_id") if own is None else own).i = found.i


def create_predict_net(meta: Any) -> Any:
    """The predict net with the inputs, outputs and type that the meta says."""
    source = meta.predict_net
    message = Net(source.name or "predict").Proto()
    message.op.extend(source.op)
    message.arg.extend(source.arg)
    message.partition_info.extend(source.partition_info)
    message.external_input.extend([*meta.inputs, *meta.parameters])
    message.external_output.extend(meta.outputs)
    if meta.net_type is not None:
        message.type = meta.net_type
    if meta.num_workers is not None:
        message.num_workers = meta.num_workers
    return message


def create_predict_init_net(ws: Any, meta: Any) -> Any:
    """A net that makes all inputs and outputs, of zeros, in the shapes that the meta or the workspace has."""
    net = Net("predict-init")
    for blob in [*meta.inputs, *meta.outputs]:
        shape = meta.shapes.get(blob)
        if shape is None:
            shape = ws.get(blob).dims
        with core.EmptyDeviceScope():
            net.ConstantFill([], core.BlobReference(blob), shape=shape, value=0.0)
    net.Proto().external_input.extend([*meta.inputs, *meta.outputs])
    if meta.extra_init_net:
        net.AppendNet(meta.extra_init_net)
    AddModelIdArg(meta, net.Proto())
    return net.Proto()
