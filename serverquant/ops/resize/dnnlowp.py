"""ChannelShuffle and Int8ResizeNearest3D of Int8 tensors, engine DNNLOWP, and DNNLOWP_16 of the first."""

from __future__ import annotations

import numpy as np

from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp._quantized import moved_step
from serverquant.ops.dnnlowp.kept import Int8Movement
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.ops.resize import maps
from serverquant.ops.resize.float import Remap
from serverquant.ops.resize.schema import check_scales
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


@register("Int8ResizeNearest3D", engine="DNNLOWP")
class Int8ResizeNearest3D(Int8Movement, Remap):
    """Nearest pixels, NHWC, by any scales."""

    nhwc = True

    def setup(self) -> None:
        self.scales = [self.args.temporal_scale, self.args.height_scale, self.args.width_scale]
        check_scales(self.scales)

    def maps(self, sizes: tuple[int, ...], out: tuple[int, ...], ins: list[Spec]) -> list[np.ndarray]:
        return [maps.nearest(n, count, s) for n, count, s in zip(sizes, out, self.scales)]
