"""Normalisation and softmax of float tensors."""

from __future__ import annotations

import math

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.norm import _norm
from serverquant.ops.norm.schema import channel_axis
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


@register("SpatialBN")
class SpatialBN(Operator):
    """Y = X * alpha + beta with fixed statistics."""

    takes = "float"

    def setup(self) -> None:
        if not self.args.is_test:
            raise ArgumentError("SpatialBN runs with is_test=1 only: serverquant does not train")
        if self.args.order not in ("NCHW", "NHWC"):
            raise ArgumentError(f"argument order must be NCHW or NHWC, not {self.args.order!r}")
        if len(self.outputs) > 1:
            raise ArgumentError(f"with is_test=1 there is one output, not {len(self.outputs)}")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        axis = channel_axis(self, ins[0].ndim)
        return _norm.spatial_bn_step(axis, ins[0].dims[axis], math.prod(ins[0].dims[axis + 1 :]), self.args.epsilon)


@register("Softmax")
class Softmax(Operator):
    """exp(x) / sum(exp(x)) over rows."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _norm.softmax_step(axis_of(self.args.axis, ins[0].ndim, extra=1))
