"""How parameters get their first values."""

from __future__ import annotations

from typing import Any

from serverquant.compat.caffe2.python.modeling.parameter_info import ParameterInfo
from serverquant.core import BlobReference, DataType


class Initializer:
    """By an operator of the init net."""

    def __init__(self, operator_name: str | None = None, **kwargs: Any):
        self.operator_name, self.operator_kwargs = operator_name, kwargs

    def update(self, operator_name: str, kwargs: dict[str, Any]) -> None:
        if self.operator_name is not None:
            raise ValueError(f"the initializer has an operator already: {self.operator_name}")
        self.operator_name, self.operator_kwargs = operator_name, kwargs

    def _fill(self, init_net: Any, name: Any, shape: Any) -> Any:
        return getattr(init_net, self.operator_name or "")([], name, shape=shape, **self.operator_kwargs)

    def create_param(self, param_name: Any, init_net: Any, shape: Any) -> ParameterInfo:
        return ParameterInfo(None, self._fill(init_net, param_name, shape), shape=shape)


class ExternalInitializer:
    """By somebody else: the blob is there when it is needed."""

    def create_param(self, param_name: Any, init_net: Any, shape: Any) -> ParameterInfo:
        return ParameterInfo(None, BlobReference(param_name, init_net), shape=shape)


class PseudoFP16Initializer(Initializer):
    """In float16, with a float copy beside."""

    def create_param(self, param_name: Any, init_net: Any, shape: Any) -> ParameterInfo:
        wide = self._fill(init_net, param_name + "_fp32", shape)
        half = init_net.FloatToHalf(wide, param_name)
        return ParameterInfo(None, half, shape=shape, blob_copy={DataType.FLOAT: wide})


class ReversePseudoFP16Initializer(Initializer):
    """In float, with a float16 copy beside."""

    def create_param(self, param_name: Any, init_net: Any, shape: Any) -> ParameterInfo:
        wide = self._fill(init_net, param_name, shape)
        half = init_net.FloatToHalf(wide, param_name + "_fp16")
        return ParameterInfo(None, wide, shape=shape, blob_copy={DataType.FLOAT16: half})


def update_initializer(initializer_class: Any, given: Any, default: Any) -> Any:
    """An initializer (of the class, if one is given) for the operator `given`, else `default`: (type, arguments)."""
    name, arguments = given or default
    return (initializer_class or Initializer)(name, **arguments)
