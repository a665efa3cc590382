"""Softmax of the mobile set (no engine)."""

from __future__ import annotations

from serverquant.blobs.spec import Spec
from serverquant.ops.norm import _int8
from serverquant.ops.unary.mobile import MobileTable, unit_output
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Int8Softmax")
class MobileSoftmax(MobileTable):
    """exp(x) / sum(exp(x)) over all dims but the first, in units of 1/256, at most 255."""

    def setup(self) -> None:
        self.output = unit_output(self)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _int8.mobile_softmax_step(*self.output)
