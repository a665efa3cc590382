"""Pools of Int8 tensors, engine DNNLOWP."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.ops.dnnlowp.options import read_options
from serverquant.ops.pool import _pool
from serverquant.ops.pool.base import PoolOperator
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("MaxPool", "AveragePool", "Int8MaxPool", "Int8AveragePool", engine="DNNLOWP")
class DnnlowpPool(PoolOperator):
    """Max: of the integers; Y has X's parameters, whatever Y_scale says. Average: exact sums of the clipped window.

    A float X is quantized by its range. Without Y_scale an average's parameters are those of the float average's range
    in this run.
    """

    takes = "int8|float"

    def setup(self) -> None:
        super().setup()
        self.options = read_options(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.FLOAT, TENSOR) if self.options.dequantize_output else (dtypes.UINT8, INT8)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _pool.int8_step(self.pool(ins), self.options, average=self.average)
