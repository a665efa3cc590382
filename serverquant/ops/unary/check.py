"""Operators that look at values: an error, or what was out of bounds put right."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.unary import _unary
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("NanCheck")
class NanCheck(Operator):
    """A copy of input 0, in which a NaN or an infinity is an error."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "float")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.finite_step(ins[0].dtype)


@register("EnforceFinite")
class EnforceFinite(Operator):
    """A NaN or an infinity is an error."""

    takes = "float|double"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.finite_step(ins[0].dtype)


@register("EnsureClipped")
class EnsureClipped(Operator):
    """Y = min(max(X, min), max)."""

    takes = "float"

    def setup(self) -> None:
        if len(self.inputs) > 1:
            raise ArgumentError("runs with one input only: with indices and gradients it is part of training")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.map_step("clip_f32", self.args.min, self.args.max)
