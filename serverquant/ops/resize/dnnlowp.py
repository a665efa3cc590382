"""ChannelShuffle of Int8 tensors, engines DNNLOWP and DNNLOWP_16."""

from __future__ import annotations

from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp._quantized import moved_step
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("ChannelShuffle", "Int8ChannelShuffle", engine="DNNLOWP")
class DnnlowpChannelShuffle(QuantizedOperator):
    """Mixes the channels of groups; Y has X's parameters."""

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        return moved_step(self.options, floats)


@register("ChannelShuffle", engine=wide.ENGINE)
class WideChannelShuffle(wide.WideKept):
    """The same on uint16."""
