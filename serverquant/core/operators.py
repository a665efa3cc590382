"""OperatorDefs from Python values, and what is registered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import serverquant.ops  # noqa: F401 - makes the built-in operators known
from serverquant import proto
from serverquant.core.references import scoped
from serverquant.core.scopes import CurrentDeviceScope
from serverquant.proto.args import make_argument
from serverquant.runtime import python_functions, registry
from serverquant.runtime.options import options


def IsOperator(op_type: str) -> bool:
    """Whether there is an operator of that type."""
    return op_type in registry.types()


def IsOperatorWithEngine(op_type: str, engine: str) -> bool:
    """Whether that type has that engine; "DEFAULT" is the one without a name."""
    return IsOperator(op_type) and ("" if engine == "DEFAULT" else engine) in registry.engines(op_type)


def RefreshRegisteredOperators(trigger_lazy: bool = True) -> None:
    """Nothing to do: what is registered is looked up every time."""


def CreateOperator(
    operator_type: str,
    inputs: Any,
    outputs: Any,
    name: str = "",
    control_input: Any = None,
    device_option: Any = None,
    arg: Iterable[Any] | None = None,
    engine: str | None = None,
    debug_info: str | None = None,
    **kwargs: Any,
) -> Any:
    """An OperatorDef.

    inputs, outputs, control_input: names, one or several; str and bytes get the current name scope, a BlobReference is
    taken as it is. arg: Argument messages. kwargs: arguments by name: numbers, bools, strings, bytes, numpy scalars and
    arrays, lists of these, NetDefs and other messages; None leaves one out.
    """
    operator = proto.OperatorDef(type=operator_type, name=name)
    operator.input.extend(str(blob) for blob in scoped(inputs))
    operator.output.extend(str(blob) for blob in scoped(outputs))
    operator.control_input.extend(str(blob) for blob in scoped(control_input))
    device_option = device_option if device_option is not None else CurrentDeviceScope()
    if device_option is not None:
        operator.device_option.ParseFromString(device_option.SerializeToString())
    if engine is not None:
        operator.engine = engine
    if debug_info is not None:
        operator.debug_info = debug_info
    for argument in arg or ():
        operator.arg.add().ParseFromString(argument.SerializeToString())
    for key, value in kwargs.items():
        if value is not None:
            operator.arg.append(make_argument(key, value))
    return operator


def CreatePythonOperator(
    f: Any,
    inputs: Any,
    outputs: Any,
    grad_f: Any = None,
    pass_workspace: bool = False,
    python_func_type: Any = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """An OperatorDef of type Python that calls `f(inputs, outputs)` with lists of tensors.

    f: the function, or (builder, args, kwargs), which makes it now. With `pass_workspace` it gets the workspace as a
    third argument. python_func_type: a class made from `f` whose `forward` is called instead. `grad_f` is taken and
    never called: there are no gradients here. The operator runs in this process only.
    """
    token = python_functions.add(f, pass_workspace, python_func_type)
    return CreateOperator("Python", inputs, outputs, *args, token=token, **kwargs)


# ---- engine preferences ------------------------------------------------------------------------------------------


def SetGlobalEnginePref(preference: Mapping[int, Iterable[str]]) -> None:
    """Engines that all operators try before the default: {device type: engines}."""
    options.engines = tuple(preference.get(proto.CPU, ()))


def SetPerOpEnginePref(preference: Mapping[str, Mapping[int, Iterable[str]]]) -> None:
    """Engines that operators of a type try first: {type: {device type: engines}}. Replaces what was set before."""
    found = {op_type: tuple(by_device.get(proto.CPU, ())) for op_type, by_device in preference.items()}
    options.type_engines = {op_type: engines for op_type, engines in found.items() if engines} or None


def SetEnginePref(per_op: Mapping[str, Mapping[int, Iterable[str]]], for_all: Mapping[int, Iterable[str]]) -> None:
    """Both at once."""
    SetPerOpEnginePref(per_op)
    SetGlobalEnginePref(for_all)


def SetOpEnginePref(op_type: str, preference: Mapping[int, Iterable[str]]) -> None:
    """The preference of one type; others keep theirs."""
    options.type_engines = {**(options.type_engines or {}), op_type: tuple(preference.get(proto.CPU, ()))}
