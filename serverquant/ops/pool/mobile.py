"""Pools of the mobile set (no engine): NHWC, everything Int8."""

from __future__ import annotations

import math

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import mobile_output
from serverquant.ops.pool import _pool
from serverquant.ops.pool.base import PoolOperator
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Decline
from serverquant.runtime.registry import register


@register("Int8MaxPool", "Int8MaxPoolRelu", "Int8AveragePool", "Int8AveragePoolRelu")
class MobilePool(PoolOperator):
    """Max: Y_scale and Y_zero_point must be X's. Average: fixed point, over the whole kernel, padding as X's zero.

    ...Relu: nothing below Y's zero point.
    """

    takes = "int8"

    def setup(self) -> None:
        super().setup()
        if not self.window.nhwc:
            raise Decline("needs order NHWC")
        self.output = mobile_output(self)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        kernel = self.window.fit(ins[0].dims[1:-1]).kernel
        if math.prod(kernel) == 1 and not self.window.is_global:
            raise ArgumentError("a kernel of one element is refused, as in Caffe2; leave the pool out")
        scale = float(np.float32(self.output.scale))
        relu, count = self.type.endswith("Relu"), math.prod(kernel)
        return _pool.mobile_step(
            self.pool(ins), scale, self.output.zero_point, count, average=self.average, relu=relu
        )
