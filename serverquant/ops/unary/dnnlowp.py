"""Unary operators on Int8 tensors, engine DNNLOWP and the mobile set."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs._blob import check_qparams
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.ops.dnnlowp.kept import keep_params
from serverquant.ops.dnnlowp.options import read_options
from serverquant.ops.unary import _table, _unary
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Relu", "Int8Relu", engine="DNNLOWP")
class DnnlowpRelu(Operator):
    """Y = max(q, zero point of X). X, Y: uint8, any shape; Y takes X's scale and zero point, Y_scale is ignored."""

    takes = "int8"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.int8_relu_step()


@register("Int8Relu")
class MobileRelu(DnnlowpRelu):
    """The same; Y_scale and Y_zero_point, where given, must be X's (Caffe2 ends the process, here it is an error)."""

    def setup(self) -> None:
        check_qparams(1.0 if self.args.Y_scale is None else self.args.Y_scale, self.args.Y_zero_point or 0)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return keep_params(self, super().plan(ins, outs))


@register("Sigmoid", "Int8Sigmoid", "Tanh", "Int8Tanh", engine="DNNLOWP")
class DnnlowpTable(Operator):
    """By a table of 256 bytes made for X of one scale (6/127 for Sigmoid, 3/127 for Tanh) and zero point 128.

    An Int8 X is taken to have these parameters, whatever it has; a float X is quantized by them.
    """

    takes = "int8|float"

    def setup(self) -> None:
        self.options = read_options(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.FLOAT, TENSOR) if self.options.dequantize_output else (dtypes.UINT8, INT8)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _table.fixed_step(sigmoid="Sigmoid" in self.type, dequantize=self.options.dequantize_output)
