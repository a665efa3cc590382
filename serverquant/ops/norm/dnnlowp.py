"""SpatialBN on Int8 tensors, engine DNNLOWP."""

from __future__ import annotations

import math

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.ops.norm import _int8
from serverquant.ops.norm.schema import channel_axis
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("SpatialBN", "Int8SpatialBN", "Int8SpatialBNRelu", engine="DNNLOWP")
class DnnlowpSpatialBN(QuantizedOperator):
    """Y = X * alpha + beta with fixed statistics (is_test=1), one fused multiply-add on bytes."""

    takes = ("int8|float", "float")

    def setup(self) -> None:
        super().setup()
        if not self.args.is_test:
            raise ArgumentError("engine DNNLOWP does not train: is_test must be 1")

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        axis = channel_axis(self.floats, ins[0].ndim)
        relu = self.type.endswith("Relu")
        inner = math.prod(ins[0].dims[axis + 1 :])
        return _int8.spatial_bn_step(self.options, floats, ins[0].dims[axis], inner, self.args.epsilon, relu)
