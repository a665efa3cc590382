"""What Caffe2's C++ extension offers to Python, by serverquant: the module that Caffe2 calls C."""

from __future__ import annotations

from typing import Any

from serverquant import core, workspace
from serverquant._base.errors import ArgumentError
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
    """A predictor whose calls take and give lists of arrays. As in Caffe2, an input may be a blob that the init net has
    made, and keeps what it was last given."""

    def __init__(self, init_net: Any, predict_net: Any, workspace: Any = None):
        self._space = _Workspace(workspace)
        self._space.run_once(load_net(init_net))
        message = load_net(predict_net)
        self._inputs, self._outputs = list(message.external_input), list(message.external_output)
        for name in self._inputs:
            self._space.create(name)
        self._net = self._space.create_net(message)

    def run(self, inputs: Any) -> list[Any]:
        """Inputs as a list in order, the first ones of the net's, or as a dict; outputs as a list."""
        named = inputs if isinstance(inputs, dict) else dict(zip(self._inputs, inputs))
        if len(named) < len(inputs) or not set(named) <= set(self._inputs):
            raise ArgumentError(f"the predictor has the inputs {self._inputs}, not {list(named)}")
        for name, value in named.items():
            self._space.create(blob_name(name)).feed(value)
        self._net.run()
        return [self._space.fetch(name) for name in self._outputs]


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
