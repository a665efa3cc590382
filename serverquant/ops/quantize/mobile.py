"""Int8Quantize and Int8Dequantize of the mobile set (no engine)."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.ops.dnnlowp.options import mobile_output
from serverquant.ops.quantize import _quantize
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Int8Quantize")
class MobileQuantize(Operator):
    """Y = clamp(zero point + rne(x / scale)): a division, and the zero point after rounding. NaN gives 0."""

    takes = "float"

    def setup(self) -> None:
        self.output = mobile_output(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, INT8

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _quantize.mobile_quantize_step(self.output.scale, self.output.zero_point)


@register("Int8Dequantize")
class MobileDequantize(Operator):
    """Y = scale * (q - zero point)."""

    takes = "int8|int8:int32|int8:uint16"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _quantize.dequantize_step()
