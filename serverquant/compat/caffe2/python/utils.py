"""Small helpers around messages and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant import core, proto
from serverquant.proto.args import make_argument as MakeArgument  # noqa: F401
from serverquant.proto.tensors import from_numpy as _from_numpy
from serverquant.proto.tensors import to_numpy as Caffe2TensorToNumpyArray  # noqa: F401

OPTIMIZER_ITERATION_NAME = "optimizer_iteration"
OPTIMIZER_ITERATION_MUTEX_NAME = "iteration_mutex"


def NumpyArrayToCaffe2Tensor(array: Any, name: str = "") -> Any:
    return _from_numpy(array, name)


def NCHW2NHWC(tensor: Any) -> Any:
    """Channels last; any number of spatial dimensions."""
    return np.moveaxis(tensor, 1, -1)


def NHWC2NCHW(tensor: Any) -> Any:
    """Channels second."""
    return np.moveaxis(tensor, -1, 1)


def ArgsToDict(args: Any) -> dict[str, Any]:
    """The values of Arguments by name."""
    found = {}
    for argument in args:
        fields = {field.name: value for field, value in argument.ListFields() if field.name != "name"}
        value: Any = next(iter(fields.values()), [])
        found[argument.name] = list(value) if hasattr(value, "extend") else value
    return found


def GetArgumentFromOp(op: Any, name: str) -> Any:
    """An operator's argument; ValueError when it is not set."""
    for argument in op.arg:
        if argument.name == name:
            return argument
    raise ValueError(f"{op.type} has no argument {name}")


def Namify(text: str) -> str:
    return text.replace(" ", "_")


def BuildUniqueMutexIter(init_net: Any, net: Any, iter: Any = None, iter_mutex: Any = None, iter_val: int = 0) -> Any:
    """The counter of iterations, which a lock guards; made once."""
    iter = iter if iter is not None else OPTIMIZER_ITERATION_NAME
    iter_mutex = iter_mutex if iter_mutex is not None else OPTIMIZER_ITERATION_MUTEX_NAME
    with core.DeviceScope(core.DeviceOption(proto.CPU, extra_info=["device_type_override:cpu"])):
        if not init_net.BlobIsDefined(iter):
            iter = init_net.ConstantFill([], iter, shape=[1], value=iter_val, dtype=core.DataType.INT64)
            iter_mutex = init_net.CreateMutex([], [iter_mutex])
            net.AtomicIter([iter_mutex, iter], [iter])
        else:
            iter = init_net.GetBlobRef(iter)
    return iter


def EnumClassKeyVals(cls: type) -> dict[str, Any]:
    """Public members of a class that holds constants."""
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


def raiseIfNotEqual(a: Any, b: Any, msg: str) -> None:
    if a != b:
        raise Exception(f"{msg}. {a} != {b}")


def debug(function: Any) -> Any:
    """The function as it is; errors are seen as they come."""
    return function
