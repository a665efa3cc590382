"""Gather and BatchPermutation of Int8 tensors, engine DNNLOWP."""

from __future__ import annotations

from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp._quantized import moved_step, then_quantize_step
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.ops.gather.scatter import BatchPermutation
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Gather", "Int8Gather", engine="DNNLOWP")
class DnnlowpGather(QuantizedOperator):
    """Slices of data at indices. An Int8 tensor keeps its parameters, whatever Y_scale says; what was gathered of a
    float one is quantized, or with dequantize_output left as it is."""

    takes = ("int8|float", "int32|int64")

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        if ins[0].is_int8:
            return moved_step(self.options, floats)
        return floats if self.options.dequantize_output else then_quantize_step(self.options, floats)


@register("BatchPermutation", engine="DNNLOWP")
class DnnlowpBatchPermutation(BatchPermutation):
    """The same, of Int8 tensors alone; their parameters are kept."""

    takes = ("int8", "int32")
