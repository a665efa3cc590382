"""Pools of float tensors."""

from __future__ import annotations

from serverquant.blobs.spec import Spec
from serverquant.ops.pool import _pool
from serverquant.ops.pool.base import PoolOperator
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("MaxPool", "MaxPool1D", "MaxPool2D", "MaxPool3D")
class MaxPool(PoolOperator):
    """The largest element of each window."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _pool.float_step(self.pool(ins), average=False)


@register("AveragePool", "AveragePool1D", "AveragePool2D", "AveragePool3D")
class AveragePool(PoolOperator):
    """The mean of each window, clipped to the image unless count_include_pad=1."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _pool.float_step(self.pool(ins), average=True, include_pad=bool(self.args.count_include_pad))
