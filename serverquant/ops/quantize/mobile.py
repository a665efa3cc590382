"""Int8Quantize and Int8Dequantize of the mobile set (no engine)."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.ops.dnnlowp._layer import Tail
from serverquant.ops.dnnlowp.chain import QUANTIZE, TAIL, Link
from serverquant.ops.dnnlowp.options import mobile_output
from serverquant.ops.quantize import _quantize
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Int8Quantize")
class MobileQuantize(Link):
    """Y = clamp(zero point + rne(x / scale)): a division, and the zero point after rounding. NaN gives 0."""

    takes = "float"

    def setup(self) -> None:
        self.output = mobile_output(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, INT8

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return self.head_step(turned=False)

    def kind(self) -> int | None:
        return QUANTIZE if len(self.inputs) == 1 else None

    def head_step(self, turned: bool) -> Step:
        scale, zero_point = self.output.scale, self.output.zero_point
        if turned:
            return _quantize.turned_step(scale, zero_point, 0)
        return _quantize.mobile_quantize_step(scale, zero_point)


class Dequantizer(Link):
    """Y = scale * (q - zero point), of both sets."""

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _quantize.dequantize_step()

    def kind(self) -> int:
        return TAIL

    def tail_step(self, ins: list[Spec], at: int) -> Tail:
        return _quantize.dequantize_tail()


@register("Int8Dequantize")
class MobileDequantize(Dequantizer):
    """Y = scale * (q - zero point)."""

    takes = "int8|int8:int32|int8:uint16"
