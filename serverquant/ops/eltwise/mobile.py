"""Sums of two Int8 tensors, mobile set (no engine): fixed point."""

from __future__ import annotations

from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp._layer import Tail
from serverquant.ops.dnnlowp.chain import TAIL, Link
from serverquant.ops.dnnlowp.options import mobile_output
from serverquant.ops.eltwise import _int8
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Int8Add", "Int8AddRelu", "Int8Sum", "Int8SumRelu")
class MobileAdd(Link):
    """C = A + B, two inputs of one shape. The ratios of their scales to Y_scale must lie in [2^-14, 2^8)."""

    takes = "int8"

    def setup(self) -> None:
        self.output = mobile_output(self)

    @property
    def relu(self) -> bool:
        return self.type.endswith("Relu")

    def kind(self) -> int | None:
        return TAIL if len(self.inputs) == 2 else None

    def tail_step(self, ins: list[Spec], at: int) -> Tail:
        self._check_shapes(ins)
        return _int8.mobile_tail(self.output.scale, self.output.zero_point, self.relu, at)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        self._check_shapes(ins)
        return _int8.mobile_step(self.output.scale, self.output.zero_point, self.relu)

    def _check_shapes(self, ins: list[Spec]) -> None:
        if len(ins) != 2:
            raise self.shape_error(ins, len(ins) - 1, f"two inputs, not {len(ins)}; engine DNNLOWP takes any number")
        if ins[0].dims != ins[1].dims:
            raise self.shape_error(ins, 1, f"the shape of input 0, {ins[0].dims}")
