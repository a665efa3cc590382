"""caffe2.python.workspace: serverquant.workspace, and what Caffe2 has there besides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from serverquant import proto
from serverquant import workspace as _ours
from serverquant.compat.caffe2.python import _import_c_extension as C
from serverquant.compat.caffe2.python.immediate import (  # noqa: F401
    FeedImmediate,
    FetchImmediate,
    ImmediateBlobs,
    IsImmediate,
    StartImmediate,
    StopImmediate,
)
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
    """Another workspace is the current one inside."""
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


def StringifyBlobName(name: Any) -> str:
    return _ours.blob_name(name)


def StringifyNetName(name: Any) -> str:
    return _ours._net_name(name)


def __getattr__(name: str) -> Any:
    if name == "_immediate_root_folder":
        from serverquant.compat.caffe2.python import immediate

        return immediate.root_folder
    raise AttributeError(f"module 'caffe2.python.workspace' has no attribute {name!r}")
