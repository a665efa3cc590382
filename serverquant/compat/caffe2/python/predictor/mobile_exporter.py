"""A model as a pair of nets: an init net with all parameters in it, and the predict net."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from serverquant import core, proto
from serverquant.proto.io import load_net

_FILLS = {
    np.dtype(np.float32): "GivenTensorFill",
    np.dtype(np.int32): "GivenTensorIntFill",
    np.dtype(np.int64): "GivenTensorInt64Fill",
    np.dtype(np.uint8): "GivenTensorByteStringToUInt8Fill",
    np.dtype(np.bool_): "GivenTensorBoolFill",
    np.dtype(object): "GivenTensorStringFill",
}


def add_tensor(net: Any, name: str, blob: np.ndarray) -> None:
    """Add an operator that makes the array. ValueError for a type that no fill has."""
    if blob.dtype not in _FILLS:
        raise ValueError(f"no operator fills a tensor of {blob.dtype}")
    values: Any = [blob.tobytes()] if blob.dtype == np.uint8 else blob
    op = core.CreateOperator(_FILLS[blob.dtype], [], [core.BlobReference(name)], shape=blob.shape, values=values)
    net.op.append(op)


def Export(workspace: Any, net: Any, params: Iterable[Any]) -> tuple[Any, Any]:
    """(init net, predict net). Inputs that are no parameters get a value of no meaning in the init net, so that the
    predict net can be created after it; outputs are what nothing reads."""
    predict_net = proto.NetDef()
    predict_net.CopyFrom(load_net(net))
    parameters = [str(param) for param in params]
    ssa, versions = core.get_ssa(predict_net)
    read = {name for reads, _ in ssa for name, _ in reads}
    inputs = [name for name, version in versions.items() if version == 0 and name not in parameters and name in read]
    outputs = [name for name in versions if name not in read]
    init_net = proto.NetDef(name=f"{predict_net.name}_init")
    for name in parameters:
        add_tensor(init_net, name, workspace.FetchBlob(name))
    made = {name for op in predict_net.op for name in op.output}
    inputs = [name for name in inputs if name not in made or name in predict_net.external_input]
    for name in inputs:
        add_tensor(init_net, name, np.zeros((1, 1), np.float32))
    listed = [*inputs, *(name for name in predict_net.external_input if name not in inputs)]
    predict_net.external_input[:] = listed
    predict_net.external_output[:] = outputs
    return init_net, predict_net
