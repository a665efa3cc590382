"""Gather and BatchGather, for every data type."""

from __future__ import annotations

from serverquant.blobs.spec import Spec
from serverquant.ops._movement import Movement
from serverquant.ops.gather import _gather
from serverquant.ops.gather.schema import gather_axis, wraps
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Gather", "BatchGather")
class Gather(Movement):
    """Slices of data at indices."""

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 1, "int32", "int64")

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _gather.gather_step(gather_axis(self, ins[0].ndim), self.args.match_outer, wraps(self))
