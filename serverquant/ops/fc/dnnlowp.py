"""Fully connected layers of Int8 tensors, engine DNNLOWP, and packing of their weights."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, OBJECT, TENSOR, Spec
from serverquant.kernels.gemm._gemm import pack
from serverquant.ops.dnnlowp import acc16
from serverquant.ops.dnnlowp.chain import LAYER, Link
from serverquant.ops.dnnlowp.options import Options, read_options
from serverquant.ops.dnnlowp.unpacking import fc_unpacker
from serverquant.ops.dnnlowp.weights import (
    LayerWeight,
    PackedLayer,
    check_packed,
    check_weight_scales,
    pack_bias,
    read_weight,
    spread,
)
from serverquant.ops.fc import _fc
from serverquant.ops.fc.float import packed_f32
from serverquant.ops.fc.schema import check_not_empty, is_by_row, weight_matrix
from serverquant.ops.quantize.params import params_of
from serverquant.qparams import relu_params
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


def pack_weight(blob: Blob, n: int, k: int, by_row: bool, options: Options) -> LayerWeight:
    """Weights of n rows, float or Int8, packed; float ones quantized together or row by row."""
    weights, params = read_weight(blob, n if by_row else 1, options)
    scales, zero_points = spread(params, n)
    return LayerWeight(pack(weights.reshape(n, k), zero_point=zero_points), scales, len(params))


def weight_key(n: int, by_row: bool, options: Options) -> Hashable:
    """What packed weights depend on, their blob aside."""
    return "gemm_u8", n, by_row, *options.weight_choice, options.weight_scales


@register("FC", "Int8FC", "Int8FCRelu", engine="DNNLOWP_ROWWISE")
@register("FC", "Int8FC", "Int8FCRelu", engine="DNNLOWP")
class DnnlowpFC(Link):
    """Y = requantized exact sums, or with dequantize_output=1 fma(float(sum), scale, b).

    Two defects of Caffe2 are kept unless they are to be fixed: in a row-wise layer the bias is quantized by the scale
    of row 0, and multiplier and dynamic output parameters stay those of the first run. Parameters that input 3 holds
    outrank Y_scale and are read whenever it changes.
    """

    takes = ("int8|float", "float|int8|object", "float|int8:int32", "object")
    packs = (1,)

    def setup(self) -> None:
        self.relu = self.type.endswith("Relu")
        self.options = read_options(self, self.relu)
        self.by_row = is_by_row(self)
        # Caffe2 does not know weight_scales, so there is no defect of its to keep.
        self.fix = self.definition.fix_defects or bool(self.options.weight_scales)
        self.first_run = _fc.FirstRun()
        if not self.args.constant_weight:
            self.options = self.options.with_kind("min_max")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.FLOAT, TENSOR) if self.options.dequantize_output else (dtypes.UINT8, INT8)

    def kind(self) -> int | None:
        return None if self.options.dequantize_output else LAYER

    @property
    def is_dynamic(self) -> bool:
        """Whether the output's parameters are chosen while running."""
        return self.options.output is None and not self.options.dequantize_output and len(self.inputs) < 4

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        check_not_empty(self, ins)
        check_weight_scales(self, ins, self.options.weight_scales)
        for i in (1, 2):
            if self.is_dynamic and not ins[i].is_float:
                raise QuantizationError(
                    f"{self.input_text(ins, i)} must be float when the output's parameters are chosen while running; "
                    "give Y_scale and Y_zero_point"
                )

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        n, k = weight_matrix(self, ins[1].dims)
        batched = axis_of(self.args.axis, ins[0].ndim, extra=1) > 0
        step = _fc.int8_step(
            n,
            k,
            self.options,
            relu=self.relu,
            batched=batched,
            fix=self.fix,
            by_row=self.by_row,
            first_run=self.first_run,
        )
        step.prepare = partial(self.prepare, step, n, k)
        return step

    def prepare(self, step: Step, n: int, k: int, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Quantize and pack the weights, once for all nets that use this version of them in this way."""
        blob = inputs[1]
        float_weight = packed_f32(blob, n, k) if self.is_dynamic else None
        _fc.set_int8_weight(step, self._weight(blob, n, k), blob.version, float_weight)
        if len(inputs) > 3:
            params = params_of(inputs[3])
            if self.options.relu:
                params = relu_params(params, self.options.symmetric_activations, self.options.power_of_two)
            _fc.set_output_params(step, params.scale, params.zero_point, inputs[3].version)

    def _weight(self, blob: Blob, n: int, k: int) -> LayerWeight:
        if blob.kind == OBJECT:
            return check_packed(self, blob, "Int8FC", self.by_row, {})
        key = weight_key(n, self.by_row, self.options)
        unpack = fc_unpacker(blob, self.options)
        return blob.packed(key, lambda: pack_weight(blob, n, k, self.by_row, self.options), unpack)


@register("FC", "Int8FC", engine=acc16.ENGINE)
class Acc16FC(DnnlowpFC):
    """The same; see ops/dnnlowp/acc16.py."""

    def setup(self) -> None:
        super().setup()
        self.bits = acc16.outlier_bits(self)

    def prepare(self, step: Step, n: int, k: int, inputs: list[Blob], outputs: list[Blob]) -> None:
        acc16.tell(step, inputs[1], n if self.by_row else 1, self.options, n, self.bits)
        super().prepare(step, n, k, inputs, outputs)


@register("Int8FCPackWeight", engine="DNNLOWP_ROWWISE")
@register("Int8FCPackWeight", engine="DNNLOWP")
class Int8FCPackWeight(Operator):
    """Packed weights from W, float or Int8 of uint8, and a bias, which output 1 holds quantized."""

    takes = ("float|int8", "float|int8:int32")

    def setup(self) -> None:
        self.options = read_options(self)
        self.by_row = is_by_row(self)

    def infer(self, ins: list[Spec]) -> list[Spec]:
        n, k = weight_matrix(self, ins[0].dims)
        if n * k == 0:
            raise self.shape_error(ins, 0, "at least one element")
        if len(ins) > 1 and ins[1].size != n:
            raise self.shape_error(ins, 1, f"({n},), an entry for each row of {self.input_text(ins, 0)}")
        specs = [Spec(ins[0].dims, 0, OBJECT), Spec((n,), dtypes.INT32, INT8)]
        return specs[: len(self.outputs)]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if len(outs) > len(ins):
            raise QuantizationError("output 1 is the quantized bias, but no bias (input 1) is given")
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        n, k = weight_matrix(self, inputs[0].dims)
        weight = pack_weight(inputs[0], n, k, self.by_row, self.options)
        if len(inputs) > 1:
            weight.bias = pack_bias(self, inputs[1], weight)
            weight.bias_scales = np.float32(self.args.in_scale) * weight.scales
            if len(outputs) > 1:
                outputs[1].feed_int8(weight.bias, weight.bias_scales[0], 0)
        layer = PackedLayer("Int8FC", inputs[0].dims, weight, self.by_row)
        if self.args.save_unpacked_weights:
            layer.unpacked = self.signed(inputs[0], n)
        self.describe(layer, inputs[0], n)
        outputs[0].feed_object(layer)

    def signed(self, blob: Blob, n: int) -> np.ndarray:
        """The weights as int8."""
        return read_weight(blob, n if self.by_row else 1, self.options)[0]

    def describe(self, layer: PackedLayer, blob: Blob, n: int) -> None:
        """What is to be known of the weights beyond their packed form."""


@register("Int8FCPackWeight", engine=acc16.ENGINE)
class Acc16FCPackWeight(Int8FCPackWeight):
    """The same; see ops/dnnlowp/acc16.py."""

    def setup(self) -> None:
        super().setup()
        self.bits = acc16.outlier_bits(self)

    def describe(self, layer: PackedLayer, blob: Blob, n: int) -> None:
        layer.past_int16 = acc16.columns_past_int16(self.signed(blob, n).reshape(n, -1), self.bits)
