"""Slice of the mobile set (no engine): Int8 tensors, whose parameters are kept."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.ops.concat.float import Slice
from serverquant.ops.dnnlowp.kept import Int8Movement
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
