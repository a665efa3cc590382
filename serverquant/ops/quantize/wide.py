"""Quantize and Dequantize of uint16, engines DNNLOWP_16 and DNNLOWP_ROWWISE_16."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.options import read_options
from serverquant.ops.quantize import _quantize
from serverquant.ops.quantize.params import params_of
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Quantize", engine=wide.ROWWISE)
@register("Quantize", engine=wide.ENGINE)
class WideQuantize(Operator):
    """Y = clamp(rne(f32(f32(x * 1/scale) + zero point))): rounded twice, also with 8 bits. NaN gives 0."""

    takes = ("float", "object")

    def setup(self) -> None:
        self.options = read_options(self, most_bits=wide.BITS)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT16, INT8

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        values = inputs[0].view()
        if len(inputs) > 1:
            params = params_of(inputs[1])._replace(precision=self.options.activation_precision)
        else:
            params = self.options.output or self.options.choose(*wide.value_range(values))
        wide.put(outputs[0], wide.quantize(values, params), params)


@register("Dequantize", engine=wide.ROWWISE)
@register("Dequantize", engine=wide.ENGINE)
class WideDequantize(Operator):
    """Y = scale * (q - zero point), one rounding."""

    takes = "int8:uint16"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _quantize.dequantize_step()
