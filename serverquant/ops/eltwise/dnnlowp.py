"""Sums of Int8 tensors, engine DNNLOWP: see docs/numerics.md, "Sums"."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp._layer import Tail
from serverquant.ops.dnnlowp.chain import TAIL, Link
from serverquant.ops.dnnlowp.options import Options
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.ops.eltwise import _int8, _quantized
from serverquant.ops.eltwise.broadcast import old_rule
from serverquant.qparams import QParams, choose_weight, quantize
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


class DnnlowpSummation(QuantizedOperator, Link):
    """Two Int8 inputs of one shape are added directly; anything else goes through 16-bit intermediate parameters.

    Inputs are Int8 or float. Without Y_scale the output's parameters are those of the float sum's range in this run.
    """

    float_signed = False

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        return _int8.sum_step(self.options, floats, len(ins), self.float_signed)

    def kind(self) -> int | None:
        options = self.options
        fixed = options.output and not options.dequantize_output and options.activation_precision == 8
        return TAIL if fixed and len(self.inputs) == 2 else None

    def tail_step(self, ins: list[Spec], at: int) -> Tail:
        return _int8.sum_tail(self.options, at, self.float_signed)


@register("Sum", "SumRelu", "Int8Sum", "Int8SumRelu", engine="DNNLOWP")
class DnnlowpSum(DnnlowpSummation):
    """sum = data_0 + data_1 + ...; float inputs are clamped as signed 16-bit numbers, as Caffe2 does by mistake."""

    float_signed = True


@register("Add", "Int8Add", engine="DNNLOWP")
class DnnlowpAdd(DnnlowpSummation):
    """C = A + B; only B is broadcast, by the old rule."""

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        if ins[0].dims == ins[1].dims:
            return super().quantized(ins, outs, floats)
        self._check_broadcast(ins)
        middle = old_rule(self, ins)
        return _int8.sum_step(self.options, floats, 2, False, middle.mid, middle.post)

    def _check_broadcast(self, ins: list[Spec]) -> None:
        if not self.args.broadcast:
            raise self.shape_error(ins, 1, f"the shape of input 0, {ins[0].dims}, or broadcast=1")

    def kind(self) -> int | None:
        return None if self.args.broadcast else super().kind()

    def tail_step(self, ins: list[Spec], at: int) -> Tail:
        if ins[0].dims != ins[1].dims:
            self._check_broadcast(ins)
        return super().tail_step(ins, at)


@register("Mul", "Int8Mul", engine="DNNLOWP")
class DnnlowpMul(QuantizedOperator):
    """C = A * B of whole numbers, requantized; only B is broadcast, by the old rule."""

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        if ins[0].dims == ins[1].dims:
            return _quantized.mul_step(self.options, floats, 0, 1)
        if not self.args.broadcast:
            raise self.shape_error(ins, 1, f"the shape of input 0, {ins[0].dims}, or broadcast=1")
        middle = old_rule(self, ins)
        return _quantized.mul_step(self.options, floats, middle.mid, middle.post)


@register("ElementwiseLinear", "Int8ElementwiseLinear", engine="DNNLOWP")
class DnnlowpElementwiseLinear(QuantizedOperator):
    """Y = X * w + b for each column, whole numbers requantized. w is quantized as weights are, once for each version of
    its blob; b in units of the product."""

    takes = ("int8|float", "float", "float")

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        axis = axis_of(self.args.axis, ins[0].ndim)
        step = _quantized.linear_step(self.options, floats, math.prod(ins[0].dims[axis:]))
        step.prepare = partial(self.prepare, step)
        return step

    def prepare(self, step: Step, inputs: list[Blob], outputs: list[Blob]) -> None:
        blob = inputs[1]
        w, params = blob.packed(("linear_u8", self.options), lambda: unsigned_weight(blob, self.options))
        _quantized.set_weight(step, w, params.scale, params.zero_point, blob.version)


def unsigned_weight(blob: Blob, options: Options) -> tuple[np.ndarray, QParams]:
    """uint8 of a float blob, and their parameters."""
    values = blob.view().ravel()
    signed = choose_weight(values, *options.weight_choice)
    params = QParams(signed.scale, signed.zero_point + (1 << (signed.precision - 1)), signed.precision)
    return np.append(quantize(values, params), np.uint8(0)), params
