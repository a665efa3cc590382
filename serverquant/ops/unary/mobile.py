"""Unary operators of the mobile set (no engine) that are tables of 256 bytes."""

from __future__ import annotations

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.kept import keep_params
from serverquant.ops.unary import _table
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


class MobileTable(Operator):
    """Takes an Int8 tensor of uint8."""

    takes = "int8"


@register("Int8LeakyRelu")
class MobileLeakyRelu(MobileTable):
    """x for x >= 0, alpha * x below; Y_scale and Y_zero_point, where given, must be X's."""

    def setup(self) -> None:
        if not 0 < self.args.alpha < 1:
            raise ArgumentError(f"argument alpha is {self.args.alpha}; it must lie between 0 and 1")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return keep_params(self, _table.leaky_relu_step(self.args.alpha))


def unit_output(op: Operator) -> tuple[float, int]:
    """(1/256, 0): the parameters of an output between 0 and 1, which the arguments may repeat but not change."""
    scale, zero_point = op.args.Y_scale, op.args.Y_zero_point
    if scale is not None and np.float32(scale) != np.float32(1 / 256):
        raise QuantizationError(f"argument Y_scale is {scale}; {op.type} without engine gives 1/256 (0.00390625) only")
    if zero_point:
        raise QuantizationError(f"argument Y_zero_point is {zero_point}; {op.type} without engine gives 0 only")
    return 1 / 256, 0


@register("Int8Sigmoid")
class MobileSigmoid(MobileTable):
    """1 / (1 + exp(-x)), in units of 1/256, at most 255."""

    def setup(self) -> None:
        self.output = unit_output(self)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _table.sigmoid_step(*self.output)
