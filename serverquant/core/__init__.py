"""Building nets in Python, with Caffe2's names: operators, nets, plans, blob references, scopes.

net = core.Net("example")
net.AddExternalInput("X", "W", "b")
y = net.Relu(net.FC(["X", "W", "b"], "fc"), "y")
net.AddExternalOutput(y)
workspace.RunNetOnce(net)

::

    scopes       DeviceOption, DeviceScope, NameScope
    references   BlobReference
    operators    CreateOperator, CreatePythonOperator, what is registered, engine preferences
    net          Net
    clone        copies of nets under other blob names
    plan         ExecutionStep, Plan
    devices      on which device a blob is: always the CPU
"""

from __future__ import annotations

from serverquant import proto
from serverquant.core.clone import clone_and_bind_net, get_op_ids_in_path, get_ssa, get_undefined_blobs
from serverquant.core.devices import (
    InferBlobDevices,
    InferOpBlobDevices,
    InferOpBlobDevicesAsDict,
    InjectCrossDeviceCopies,
    InjectDeviceCopiesAmongNets,
    InjectDeviceCopiesAmongNetsWithoutB2D,
    IsGPUDeviceType,
    device_option_equal,
)
from serverquant.core.net import Net, get_net_name
from serverquant.core.operators import (
    CreateOperator,
    CreatePythonOperator,
    IsOperator,
    IsOperatorWithEngine,
    RefreshRegisteredOperators,
    SetEnginePref,
    SetGlobalEnginePref,
    SetOpEnginePref,
    SetPerOpEnginePref,
)
from serverquant.core.plan import ExecutionStep, Plan, execution_step, scoped_execution_step, to_execution_step
from serverquant.core.references import BlobReference, ScopedBlobReference, ScopedName
from serverquant.core.scopes import (
    CurrentDeviceScope,
    CurrentNameScope,
    DeviceOption,
    DeviceScope,
    EmptyDeviceScope,
    EmptyNameScope,
    NameScope,
)

DataType = proto.TensorProto

__all__ = [
    "BlobReference",
    "CreateOperator",
    "CreatePythonOperator",
    "CurrentDeviceScope",
    "CurrentNameScope",
    "DataType",
    "DeviceOption",
    "DeviceScope",
    "EmptyDeviceScope",
    "EmptyNameScope",
    "ExecutionStep",
    "InferBlobDevices",
    "InferOpBlobDevices",
    "InferOpBlobDevicesAsDict",
    "InjectCrossDeviceCopies",
    "InjectDeviceCopiesAmongNets",
    "InjectDeviceCopiesAmongNetsWithoutB2D",
    "IsGPUDeviceType",
    "IsOperator",
    "IsOperatorWithEngine",
    "NameScope",
    "Net",
    "Plan",
    "RefreshRegisteredOperators",
    "ScopedBlobReference",
    "ScopedName",
    "SetEnginePref",
    "SetGlobalEnginePref",
    "SetOpEnginePref",
    "SetPerOpEnginePref",
    "clone_and_bind_net",
    "device_option_equal",
    "execution_step",
    "get_net_name",
    "get_op_ids_in_path",
    "get_ssa",
    "get_undefined_blobs",
    "scoped_execution_step",
    "to_execution_step",
]
