"""Conversions between data types."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import DTypeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._types import SHORT
from serverquant.ops.unary import _unary
from serverquant.ops.unary.schema import cast_type
from serverquant.runtime._plan import Step, copy_step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register


@register("Cast")
class Cast(PythonOperator):
    """Y = X in another data type. Strings are written as C writes numbers: six digits behind a point."""

    def setup(self) -> None:
        self.to = cast_type(self)

    def check_types(self, ins: list[Spec]) -> None:
        # The word int8 would mean a quantized tensor.
        if ins[0].kind != TENSOR or ins[0].dtype not in SHORT:
            raise DTypeError(f"{self.input_text(ins, 0)} cannot be used; expected a plain tensor of numbers or bool")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return self.to, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if self.to == dtypes.STRING:
            return super().plan(ins, outs)
        source, target = SHORT[ins[0].dtype], SHORT[self.to]
        return copy_step(1) if source == target else _unary.map_step(f"cast_{source}_{target}")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        """To strings."""
        x = inputs[0]
        text = "{:f}" if x.dtype.kind == "f" else "{:d}"
        words = [text.format(v).encode() for v in x.ravel().tolist()]
        outputs[0] = np.array(words, object).reshape(x.shape)


@register("FloatToHalf")
class FloatToHalf(Operator):
    """Y = X in half precision."""

    takes = "float"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT16, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.half_step(True)


@register("HalfToFloat")
class HalfToFloat(Operator):
    """Y = X in single precision."""

    takes = "float16"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _unary.half_step(False)
