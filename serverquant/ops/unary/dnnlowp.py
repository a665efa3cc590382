"""Unary operators on Int8 tensors, engine DNNLOWP and the mobile set."""

from __future__ import annotations

import numpy as np

from serverquant.blobs._blob import check_qparams
from serverquant.blobs.spec import Spec
from serverquant.ops.unary import _unary
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
        scale = self.args.Y_scale
        return _unary.int8_relu_step(None if scale is None else np.float32(scale), self.args.Y_zero_point)
