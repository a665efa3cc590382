"""Convolutions of Int8 tensors, engine DNNLOWP, and packing of their weights."""

from __future__ import annotations

from functools import partial

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError, ShapeError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT, Spec
from serverquant.kernels.conv_f32._conv_f32 import ConvF32
from serverquant.ops._window import read_window
from serverquant.ops.conv import _conv
from serverquant.ops.conv.float import float_conv, packed_f32
from serverquant.ops.conv.int8 import Int8ConvBase, expect_float_layers, pack_weight, packed_geometry, weight_key
from serverquant.ops.conv.schema import check_group
from serverquant.ops.dnnlowp import acc16
from serverquant.ops.dnnlowp.options import read_options
from serverquant.ops.dnnlowp.unpacking import conv_unpacker
from serverquant.ops.dnnlowp.weights import (
    LayerWeight,
    PackedLayer,
    check_packed,
    check_weight_scales,
    pack_bias,
    read_weight,
)
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("Conv", "ConvRelu", "Int8Conv", "Int8ConvRelu", engine="DNNLOWP")
class DnnlowpConv(Int8ConvBase):
    """Y = requantized exact sums. X, Y: Int8 of uint8, NCHW or NHWC, one to three spatial dimensions.

    filter: float, Int8 of uint8, or packed (NHWC). Padding counts as X's zero point. Without Y_scale the float
    convolution of the dequantized input is run to choose the output's parameters, at every run.
    """

    takes = ("int8", "float|int8|object", "float|int8:int32")

    def setup(self) -> None:
        self.window, self.group = read_window(self), check_group(self)
        self.relu = self.type.endswith("Relu")
        self.options = read_options(self, self.relu)
        if self.options.dequantize_output:
            raise ArgumentError("dequantize_output does not go with convolutions: put Dequantize behind it")
        self.blocks = self.group if self.args.quantize_groupwise else 1

    def takes_head(self) -> bool:
        return self.options.output is not None  # else a float convolution of X is to find them

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        check_weight_scales(self, ins, self.options.weight_scales)
        if ins[1].kind == OBJECT and not self.window.nhwc:
            raise QuantizationError(f"{self.input_text(ins, 1)}: packed weights are for NHWC convolutions only")
        if self.options.output is None:
            expect_float_layers(self, ins)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        floats = float_conv(self, ins) if self.options.output is None else None
        step = _conv.int8_step(
            self.geometry(ins), self.options, relu=self.relu, nchw=not self.window.nhwc, floats=floats
        )
        step.prepare = partial(self.prepare, step, floats)
        return step

    def prepare(self, step: Step, floats: ConvF32 | None, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Quantize and pack the weights, once for all nets that use this version of them in this way."""
        blob = inputs[1]
        float_weight = packed_f32(blob, floats) if floats else None
        weight = self._weight(blob)
        pairs = weight.pairs if self._saturates_in_caffe2(blob) else None
        _conv.set_int8_weight(step, weight, blob.version, float_weight, pairs)

    def _saturates_in_caffe2(self, weight: Blob) -> bool:
        """Whether Caffe2 would take its depthwise path, which adds pairs of taps in int16 on every x86 machine. That is
        copied for float weights alone: of those we have Caffe2's answers, while Int8 and packed weights stay exact."""
        window = self.window
        return (
            not self.definition.fix_defects
            and weight.spec().is_float
            and window.nhwc
            and window.kernel == (3, 3)
            and window.strides in ((1, 1), (2, 2))
            and (window.pads, window.dilations) == ((1, 1, 1, 1), (1, 1))
            and self.group % 8 == 0
        )

    def _weight(self, blob: Blob) -> LayerWeight:
        if blob.kind == OBJECT:
            geometry = packed_geometry(self.window, self.group)
            return check_packed(self, blob, "Int8Conv", self.args.quantize_groupwise, geometry)
        form = self.group, self.blocks, self.window.nhwc, self.options
        unpack = conv_unpacker(blob, self.group, self.window.nhwc, self.options)
        return blob.packed(weight_key(*form), lambda: pack_weight(blob, *form), unpack)


@register("Conv", "ConvRelu", "Int8Conv", "Int8ConvRelu", engine=acc16.ENGINE)
class Acc16Conv(DnnlowpConv):
    """The same; see ops/dnnlowp/acc16.py."""

    def setup(self) -> None:
        super().setup()
        self.bits = acc16.outlier_bits(self)

    def prepare(self, step: Step, floats: ConvF32 | None, inputs: list[Blob], outputs: list[Blob]) -> None:
        acc16.tell(step, inputs[1], self.blocks, self.options, inputs[1].dims[0], self.bits)
        super().prepare(step, floats, inputs, outputs)


@register("Int8ConvPackWeight", engine="DNNLOWP")
class Int8ConvPackWeight(Operator):
    """Packed weights from a filter M x kernel x C/group, float or Int8 of uint8, and a bias."""

    takes = ("float|int8", "float|int8:int32")

    def setup(self) -> None:
        self.window, self.group = read_window(self), check_group(self)
        self.options = read_options(self)  # the order is not looked at: packed weights are for NHWC
        self.blocks = self.group if self.args.quantize_groupwise else 1

    def infer(self, ins: list[Spec]) -> list[Spec]:
        dims = ins[0].dims
        if dims[1:-1] != self.window.kernel or dims[0] % self.group or 0 in dims:
            raise ShapeError(
                f"{self.input_text(ins, 0)}: weights of kernel {list(self.window.kernel)} in {self.group} groups must "
                f"be (outputs, {', '.join(map(str, self.window.kernel))}, channels of a group)"
            )
        if len(ins) > 1 and ins[1].dims != dims[:1]:
            raise self.shape_error(ins, 1, f"({dims[0]},), an entry for each output of {self.input_text(ins, 0)}")
        return [Spec(dims, 0, OBJECT)]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        weight = pack_weight(inputs[0], self.group, self.blocks, True, self.options)
        if len(inputs) > 1:
            weight.bias = pack_bias(self, inputs[1], weight)
        by_group, geometry = bool(self.args.quantize_groupwise), packed_geometry(self.window, self.group)
        layer = PackedLayer("Int8Conv", inputs[0].dims, weight, by_group, geometry)
        if self.args.save_unpacked_weights:
            layer.unpacked = self.signed(inputs[0])
        self.describe(layer, inputs[0])
        outputs[0].feed_object(layer)

    def signed(self, blob: Blob) -> np.ndarray:
        """The weights as int8."""
        return read_weight(blob, self.blocks, self.options)[0]

    def describe(self, layer: PackedLayer, blob: Blob) -> None:
        """What is to be known of the weights beyond their packed form."""


@register("Int8ConvPackWeight", engine=acc16.ENGINE)
class Acc16ConvPackWeight(Int8ConvPackWeight):
    """The same; see ops/dnnlowp/acc16.py."""

    def setup(self) -> None:
        super().setup()
        self.bits = acc16.outlier_bits(self)

    def describe(self, layer: PackedLayer, blob: Blob) -> None:
        layer.past_int16 = acc16.columns_past_int16(self.signed(blob).reshape(blob.dims[0], -1), self.bits)
