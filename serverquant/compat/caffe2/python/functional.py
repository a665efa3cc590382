"""Operators called like functions of arrays: `Functional.Relu(x)[0]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serverquant import core
from serverquant.runtime import registry
from serverquant.runtime.schema import MANY
from serverquant.runtime.workspace import Workspace


class Outputs:
    """What an operator made, by number or by name (output_0, ...)."""

    def __init__(self, values: list[Any]):
        self._values = values

    def __getitem__(self, key: Any) -> Any:
        return self._values[int(key.removeprefix("output_")) if isinstance(key, str) else key]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("output_"):
            raise AttributeError(name)
        return self[name]

    def __len__(self) -> int:
        return len(self._values)


class _Functional:
    def __getattr__(self, op_type: str) -> Callable[..., Outputs]:
        if op_type.startswith("_") or not core.IsOperator(op_type):
            raise AttributeError(f"there is no operator {op_type}")

        def call(*inputs: Any, num_output: int | None = None, device_option: Any = None, **kwargs: Any) -> Outputs:
            """num_output: how many outputs, for an operator that may have any number; else as many as it can have."""
            most = registry.schema(op_type).outputs[1]
            if num_output is None and most == MANY:
                raise ValueError(f"{op_type} may have any number of outputs: give num_output")
            names = [f"output_{i}" for i in range(most if num_output is None else num_output)]
            space = Workspace()
            for i, value in enumerate(inputs):
                space.create(f"input_{i}").feed(value)
            net = core.Net("functional")
            net.Proto().op.append(
                core.CreateOperator(op_type, [f"input_{i}" for i in range(len(inputs))], names, **kwargs)
            )
            space.run_once(net)
            return Outputs([space.fetch(name) for name in names])

        return call


Functional = _Functional()
