"""caffe2.python.core: serverquant.core, and what Caffe2 has there besides."""

from __future__ import annotations

from typing import Any, NamedTuple

from serverquant import workspace
from serverquant.compat.caffe2.python import scope  # noqa: F401
from serverquant.core import *  # noqa: F403
from serverquant.runtime import registry

_init_args: list[str] = []


class GradientSlice(NamedTuple):
    """Indices and values of a sparse gradient."""

    indices: Any
    values: Any


class GradientRegistry:
    """There are no gradients: asking for one is an error."""

    @classmethod
    def GetGradientForOp(cls, op: Any, g_output: Any) -> Any:
        raise RuntimeError(f"there is no gradient of {op.type}: serverquant runs nets, it does not train them")

    @classmethod
    def RegisterGradient(cls, op_type: str) -> Any:
        return lambda function: function


def GlobalInit(args: Any) -> None:
    _init_args[:] = list(args)[1:]
    workspace.GlobalInit(args)


def GetGlobalInitArgs() -> list[str]:
    return list(_init_args)


def _GetRegisteredOperators() -> set[str]:
    return set(registry.types())


_REGISTERED_OPERATORS = _GetRegisteredOperators()
