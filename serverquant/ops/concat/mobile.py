"""Slice and Concat of the mobile set (no engine): Int8 tensors, whose parameters are kept."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.concat.float import Concat, Slice
from serverquant.ops.dnnlowp.kept import Int8Movement, keep_params
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Int8Slice")
class Int8Slice(Int8Movement, Slice):
    """A piece along one dim."""

    def setup(self) -> None:
        self.one_dim = len(self.inputs) == 1 and self.given("dim")
        if not self.one_dim:
            super().setup()
        elif self.args.start_idx is None or self.args.end_idx is None:
            raise ArgumentError("argument dim goes with start_idx and end_idx; one of them is missing")


@register("Int8Concat")
class Int8Concat(Concat):
    """Copies bytes; only input 0's parameters count."""

    takes = "int8"

    def setup(self) -> None:
        if not super().given("axis"):
            self.args.axis = {"NHWC": 3, "NCHW": 1}.get(self.args.order, 0)

    def given(self, name: str) -> bool:
        """There always is an axis, and it outranks the order, which may stand beside it."""
        return name == "axis" or super().given(name)

    def check_types(self, ins: list[Spec]) -> None:
        Operator.check_types(self, ins)

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return keep_params(self, super().move(ins, outs))
