"""Convolutions of the mobile set (no engine): NHWC, everything Int8, fixed-point requantization."""

from __future__ import annotations

from functools import partial

from serverquant._base.errors import ArgumentError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops._window import read_window
from serverquant.ops.conv import _conv
from serverquant.ops.conv.int8 import Int8ConvBase, pack_weight, weight_key
from serverquant.ops.conv.schema import check_group
from serverquant.ops.dnnlowp.options import PLAIN, mobile_output
from serverquant.ops.dnnlowp.unpacking import conv_unpacker
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Decline
from serverquant.runtime.registry import register


@register("Int8Conv", "Int8ConvRelu")
class MobileConv(Int8ConvBase):
    """Y = exact sums, requantized by a 31-bit fixed-point multiplier, which must be less than 1.

    X, Y: Int8 of uint8, N x sizes x C. filter: Int8 of uint8. bias: Int8 of int32, whose scale is not looked at.
    """

    takes = ("int8", "int8", "int8:int32")

    def setup(self) -> None:
        self.window, self.group = read_window(self), check_group(self)
        if not self.window.nhwc:
            raise Decline("needs order NHWC")
        if len(self.inputs) != 3:
            raise ArgumentError("a bias (input 2) is needed; give one of zeros")
        self.output = mobile_output(self)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        relu = self.type.endswith("Relu")
        step = _conv.mobile_step(self.geometry(ins), self.output.scale, self.output.zero_point, relu=relu)
        step.prepare = partial(self.prepare, step)
        return step

    def prepare(self, step: Step, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Pack the weights, once for all nets that use this version of them."""
        blob, form = inputs[1], (self.group, 1, True, PLAIN)
        unpack = conv_unpacker(blob, self.group, True, PLAIN)
        weight = blob.packed(weight_key(*form), lambda: pack_weight(blob, *form), unpack)
        _conv.set_int8_weight(step, weight, blob.version)
