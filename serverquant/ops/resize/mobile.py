"""ResizeNearest and ChannelShuffle of the mobile set (no engine): NHWC, Int8 tensors, whose parameters are kept."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.ops.dnnlowp.kept import Int8Movement
from serverquant.ops.resize.float import ChannelShuffle, ResizeNearest
from serverquant.runtime.operator import Decline
from serverquant.runtime.registry import register


@register("Int8ResizeNearest")
class Int8ResizeNearest(Int8Movement, ResizeNearest):
    """Nearest pixels; NHWC whatever the argument order says."""

    def setup(self) -> None:
        self.args.order = "NHWC"
        super().setup()


@register("Int8ChannelShuffle")
class Int8ChannelShuffle(Int8Movement, ChannelShuffle):
    """Mixes the channels of two or more groups."""

    def setup(self) -> None:
        super().setup()
        if not self.nhwc:
            raise Decline("needs order NHWC")
        if self.args.group < 2:
            raise ArgumentError(f"argument group is {self.args.group}; Int8ChannelShuffle needs 2 or more")
