"""caffe2.python.workspace: serverquant.workspace, and what Caffe2 has there besides."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from serverquant import proto
from serverquant import workspace as _ours
from serverquant._base.errors import NetError
from serverquant.compat.caffe2.python import _import_c_extension as C
from serverquant.compat.caffe2.python.immediate import (  # noqa: F401
    FeedImmediate,
    FetchImmediate,
    ImmediateBlobs,
    IsImmediate,
    StartImmediate,
    StopImmediate,
)
from serverquant.proto.io import load_net
from serverquant.workspace import *  # noqa: F403

Predictor = C.Predictor
has_gpu_support = has_cuda_support = has_hip_support = False
GpuDeviceType = proto.CUDA
GetCuDNNVersion = C.get_cudnn_version


def NumGpuDevices() -> int:
    return 0


NumCudaDevices = NumGpuDevices


def GetHIPVersion() -> int:
    return 0


def GetGpuPeerAccessPattern() -> Any:
    import numpy as np

    return np.zeros((0, 0), bool)


@contextlib.contextmanager
def WorkspaceGuard(workspace_name: Any) -> Iterator[None]:
    """Another workspace, by its name or itself, is the current one inside."""
    if isinstance(workspace_name, _ours.Workspace):
        with _ours.inside(workspace_name):
            yield
        return
    before = _ours.CurrentWorkspace()
    _ours.SwitchWorkspace(workspace_name, True)
    try:
        yield
    finally:
        _ours.SwitchWorkspace(before)


def StringifyProto(message: Any) -> bytes:
    """The serialized bytes of a message, of an object with Proto(), or bytes as they are; str in UTF-8."""
    if isinstance(message, (str, bytes)):
        return message if isinstance(message, bytes) else message.encode()
    return (message.Proto() if hasattr(message, "Proto") else message).SerializeToString()


_TRANSFORMS = {"ConvToNNPack": ("Conv", "NNPACK")}


def ApplyTransform(transform_key: str, net: Any) -> Any:
    """A copy of the NetDef, changed. There is one transform: ConvToNNPack names that engine in convolutions, which run
    as they did, since there is no such engine here."""
    if transform_key not in _TRANSFORMS:
        raise NetError(f'there is no transform "{transform_key}"; known: {", ".join(_TRANSFORMS)}')
    op_type, engine = _TRANSFORMS[transform_key]
    changed = proto.NetDef()
    changed.CopyFrom(load_net(net))
    for op in changed.op:
        if op.type == op_type:
            op.engine = engine
    return changed


def ApplyTransformIfFaster(
    transform_key: str,
    net: Any,
    init_net: Any,
    warmup_runs: int = 5,
    main_runs: int = 10,
    improvement_threshold: float = 1.01,
) -> Any:
    """The changed NetDef if it runs so many times faster after the init net, else the net."""
    original, changed = load_net(net), ApplyTransform(transform_key, net)
    times = []
    for candidate in (original, changed):
        space = C.Workspace()
        space.run_once(init_net)
        for name in original.external_input:
            if name not in space and name in _ours.current():
                space.create(name).feed(_ours.current().fetch(name))
        bound = space.create_net(candidate)
        for _ in range(warmup_runs):
            bound.run()
        begin = time.perf_counter()
        for _ in range(main_runs):
            bound.run()
        times.append(time.perf_counter() - begin)
    return changed if times[0] > times[1] * improvement_threshold else original


def StringifyBlobName(name: Any) -> str:
    return _ours.blob_name(name)


def StringifyNetName(name: Any) -> str:
    return _ours._net_name(name)


def __getattr__(name: str) -> Any:
    if name == "_immediate_root_folder":
        from serverquant.compat.caffe2.python import immediate

        return immediate.root_folder
    raise AttributeError(f"module 'caffe2.python.workspace' has no attribute {name!r}")
