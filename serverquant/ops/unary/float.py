"""Unary operators on float tensors."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.unary import _unary
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Relu")
class Relu(Operator):
    """Y = max(X, 0)."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.relu_step()


@register("Clip")
class Clip(Operator):
    """Y = min(max(X, min), max)."""

    takes = "float"

    def setup(self) -> None:
        if self.args.min > self.args.max:
            raise ArgumentError(f"argument min ({self.args.min}) must not exceed max ({self.args.max})")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.clip_step(self.args.min, self.args.max)
