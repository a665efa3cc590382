"""Quantize and Dequantize, engine DNNLOWP; engine DNNLOWP_ROWWISE is the same here."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, Spec
from serverquant.ops.dnnlowp.chain import QUANTIZE, Link
from serverquant.ops.dnnlowp.options import read_options
from serverquant.ops.quantize import _quantize
from serverquant.ops.quantize.mobile import Dequantizer
from serverquant.ops.quantize.params import params_of
from serverquant.qparams import quantize
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.registry import register


@register("Quantize", "Int8Quantize", engine="DNNLOWP_ROWWISE")
@register("Quantize", "Int8Quantize", engine="DNNLOWP")
class DnnlowpQuantize(Link):
    """Y = clamp(rne(fma(x, 1/scale, zero point))): the zero point is added before rounding. NaN gives 255.

    An Int8 X is passed on as it is, as in Caffe2.
    """

    takes = ("float|int8", "object")

    def setup(self) -> None:
        self.options = read_options(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, INT8

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.quantize_as_told) if len(ins) > 1 else _quantize.quantize_step(self.options)

    def kind(self) -> int | None:
        return QUANTIZE if self.options.output and len(self.inputs) == 1 else None

    def head_step(self, turned: bool) -> Step:
        if not turned:
            return _quantize.quantize_step(self.options)
        output = self.options.output
        assert output
        return _quantize.turned_step(output.scale, output.zero_point, self.options.activation_precision)

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) > 1:
            self.expect(ins, 0, "float")

    def quantize_as_told(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        """By the parameters that input 1 holds."""
        params = params_of(inputs[1])
        outputs[0].view()[...] = quantize(inputs[0].view(), params)
        outputs[0].set_qparams(params.scale, params.zero_point)


@register("Dequantize", "Int8Dequantize", engine="DNNLOWP_ROWWISE")
@register("Dequantize", "Int8Dequantize", "Int8DequantizeRowWise", engine="DNNLOWP")
class DnnlowpDequantize(Dequantizer):
    """Y = scale * (q - zero point), one rounding. A float X is passed on as it is."""

    takes = "int8|int8:int32|int8:uint16|float"
