"""What Caffe2's C++ extension offers to Python, by serverquant: the module that Caffe2 calls C."""

from __future__ import annotations

from typing import Any

from serverquant import core, predictor, workspace
from serverquant.blobs._blob import Blob
from serverquant.blobs.store import blob_name
from serverquant.blobs.tensor_view import TensorView as TensorCPU
from serverquant.proto.io import load_net
from serverquant.runtime import registry
from serverquant.runtime.workspace import Workspace as _Workspace

has_gpu_support = has_cuda_support = has_hip_support = has_mkldnn = use_mkldnn = has_fbgemm = False
is_asan = use_trt = False
use_rocm = False


class _Current(type):
    @property
    def current(cls) -> _Workspace:
        """The current workspace of the process."""
        return workspace.current()


class Workspace(_Workspace, metaclass=_Current):
    """A workspace of its own, beside the named ones."""

    def create_net(self, source: Any, overwrite: bool = False) -> Any:
        if isinstance(source, str):
            raise TypeError("create_net takes a net or its serialized bytes, not str")
        return super().create_net(source, overwrite)

    def run(self, what: Any) -> None:
        """Run an operator, a net or a plan, given as a message or as an object with Proto()."""
        workspace.run_in(self, what)


class Net:
    """A net of a workspace."""


class Predictor:
    """A predictor whose calls take and give lists of arrays."""

    def __init__(self, init_net: Any, predict_net: Any, workspace: Any = None):
        self._predictor = predictor.Predictor(load_net(init_net), load_net(predict_net))

    def run(self, inputs: Any) -> Any:
        """Inputs as a list in order, or as a dict; outputs as a list."""
        result = self._predictor(inputs) if isinstance(inputs, dict) else self._predictor(*inputs)
        return [result[name] for name in self._predictor.outputs]


class OpSchema:
    """Schemas of operators by type."""

    @staticmethod
    def get(op_type: str) -> Any:
        return registry.schema(op_type) if core.IsOperator(op_type) else None


def registered_operators() -> list[str]:
    return registry.types()


def fetch_blob(name: Any) -> Any:
    """A blob's value: an array; for an Int8 tensor (data, scale, zero point)."""
    value = workspace.current().fetch(blob_name(name))
    return tuple(value) if hasattr(value, "zero_point") else value


def feed_blob(name: Any, value: Any, device_option: Any = None) -> bool:
    return workspace.FeedBlob(name, value, device_option)


def num_cuda_devices() -> int:
    return 0


def get_cudnn_version() -> int:
    return 0


__all__ = ["Blob", "Net", "OpSchema", "Predictor", "TensorCPU", "Workspace"]
