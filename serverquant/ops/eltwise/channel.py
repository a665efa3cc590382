"""Maps of float tensors with parameters for each channel, row or column, and powers."""

from __future__ import annotations

import math

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.eltwise import _eltwise
from serverquant.ops.eltwise.broadcast import Middle, binary_grid, middle_grid
from serverquant.ops.eltwise.schema_channel import channel_axis
from serverquant.ops.unary._unary import map_step
from serverquant.runtime._plan import Step, copy_step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


def around(dims: tuple[int, ...], axis: int) -> Middle:
    """The dims before an axis, the axis, the dims behind it."""
    return Middle(math.prod(dims[:axis]), dims[axis], math.prod(dims[axis + 1 :]))


# Exponents with a shorter way that gives what the general one would.
SHORT = {2.0: "sqr_f32", 0.5: "power_half_f32", -1.0: "reciprocal_f32"}


@register("Pow")
class Pow(Operator):
    """Y = X ^ exponent, an argument or a tensor."""

    takes = "float"

    def setup(self) -> None:
        if len(self.inputs) == 1 and self.args.exponent is None:
            raise ArgumentError("needs argument exponent or a second input")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if len(ins) == 2:
            return _eltwise.grid_step("pow_f32", *binary_grid(self, ins, ins[0].dims))
        exponent = self.args.exponent
        if exponent == 1:
            return copy_step(1)
        return map_step(SHORT[exponent]) if exponent in SHORT else _eltwise.power_step(exponent)


@register("PRelu")
class PRelu(Operator):
    """Y = X, and slope * X below 0."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        middle = around(ins[0].dims, channel_axis(self, ins))
        if ins[1].size == 1:
            middle = Middle(math.prod(middle), 1, 1)
        return _eltwise.grid_step("prelu_f32", *middle_grid(middle))


@register("RowMul")
class RowMul(Operator):
    """Each row times its factor."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        rows, columns = ins[0].dims[0], math.prod(ins[0].dims[1:])
        return _eltwise.grid_step("mul_f32", 3 if ins[1].ndim == 1 else 0, [rows, columns], [columns, 1], [1, 0])


@register("AffineChannel")
class AffineChannel(Operator):
    """Y = X * scale + bias for each channel."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        _, channels, inner = around(ins[0].dims, channel_axis(self, ins))
        return _eltwise.affine_step(channels, inner)


@register("ElementwiseLinear")
class ElementwiseLinear(Operator):
    """Y = X * w + b for each column."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        axis = axis_of(self.args.axis, ins[0].ndim)
        return _eltwise.affine_step(math.prod(ins[0].dims[axis:]), 1, batched=axis > 0)
