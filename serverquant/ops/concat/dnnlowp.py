"""Concat, engine DNNLOWP: parts of different scales are requantized."""

from __future__ import annotations

from serverquant.blobs.spec import Spec
from serverquant.ops.concat import _quantized
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Concat", "Int8Concat", engine="DNNLOWP")
class DnnlowpConcat(QuantizedOperator):
    """Joins tensors, each Int8 or float, in one scale and zero point; also those that have them already go through the
    requantization. Without Y_scale the output's parameters are those of the joined floats' range in this run."""

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        return _quantized.concat_step(self.options, floats, len(ins))
