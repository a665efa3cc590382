"""Operators that compute on bytes what a float operator computes on floats; their native half is _quantized.pyx."""

from __future__ import annotations

from dataclasses import replace

from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.ops.dnnlowp.options import read_options
from serverquant.runtime import registry
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator


def as_float(spec: Spec) -> Spec:
    """What the float operator sees of an Int8 tensor."""
    return Spec(spec.dims, dtypes.FLOAT, TENSOR) if spec.is_int8 else spec


def float_operator(op: Operator) -> Operator:
    """The float operator of the same arguments, inputs and outputs."""
    name = op.type.removeprefix("Int8").removesuffix("Relu")
    cls = registry.operator_class(name)
    assert cls is not None
    return cls(replace(op.definition, type=name, engine=""), registry.schema(name))


class QuantizedOperator(Operator):
    """Base class: `options`, and `floats`, the float operator of the same arguments, which knows the shapes.

    Subclasses give `quantized(ins, outs, floats)`, the step around the float operator's step.
    """

    takes: str | tuple[str, ...] = "int8|float"

    def setup(self) -> None:
        relu = self.type.endswith("Relu")
        self.options = read_options(self, relu=relu)
        self.floats = float_operator(self)

    def infer(self, ins: list[Spec]) -> list[Spec] | None:
        outs = self.floats.infer([as_float(spec) for spec in ins])
        if outs is None:
            return None
        kind = (dtypes.FLOAT, TENSOR) if self.options.dequantize_output else (dtypes.UINT8, INT8)
        return [Spec(outs[0].dims, *kind), *outs[1:]]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        floats = self.floats.plan([as_float(spec) for spec in ins], [as_float(spec) for spec in outs])
        return self.quantized(ins, outs, floats)

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        """The step; `floats` is the float operator's."""
        raise NotImplementedError
