"""Tables whose rows are quantized by themselves: to bytes and back. The formats are those of kernels/rowwise."""

from __future__ import annotations

import math
from typing import NamedTuple

from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.embedding import _rowwise
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


class Form(NamedTuple):
    """How a row is stored. name: in kernels/rowwise; bits: of a value; stored: bits that it takes; tail: bytes of scale
    and bias."""

    name: str
    bits: int
    stored: int
    tail: int


def form_of(op_type: str) -> Form:
    """The format that an operator's name says."""
    if "8Bit" in op_type:
        return Form("u8_half", 8, 8, 4) if "HalfScaleBias" in op_type else Form("u8", 8, 8, 8)
    bits = 4 if "4Bit" in op_type else 2
    return Form("fake", bits, 8, 8) if "Fake" in op_type else Form(f"u{bits}", bits, bits, 4)


class RowOperator(Operator):
    """Reads the format from the operator's name."""

    def setup(self) -> None:
        self.form = form_of(self.type)


@register(
    "FloatToFused8BitRowwiseQuantized",
    "HalfFloatToFused8BitRowwiseQuantized",
    "FloatToFused8BitRowwiseQuantizedHalfScaleBias",
    "HalfFloatToFused8BitRowwiseQuantizedHalfScaleBias",
    "FloatToFused4BitRowwiseQuantized",
    "HalfToFused4BitRowwiseQuantized",
    "FloatToFused2BitRowwiseQuantized",
    "HalfToFused2BitRowwiseQuantized",
    "FloatToFused4BitFakeRowwiseQuantized",
    "HalfToFused4BitFakeRowwiseQuantized",
    "FloatToFused2BitFakeRowwiseQuantized",
    "HalfToFused2BitFakeRowwiseQuantized",
)
class QuantizeRows(RowOperator):
    """Rows of floats (or float16) to fused rows."""

    greedy = False

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "float16" if self.type.startswith("Half") else "float")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        half = self.type.startswith("Half")
        form, columns = self.form, ins[0].dims[-1]
        return _rowwise.quantize_step(form.name, columns, form.bits, self.greedy, half, ins[0].ndim > 1)


@register(
    "FloatToFused4BitRowwiseQuantized",
    "HalfToFused4BitRowwiseQuantized",
    "FloatToFused2BitRowwiseQuantized",
    "HalfToFused2BitRowwiseQuantized",
    "FloatToFused4BitFakeRowwiseQuantized",
    "HalfToFused4BitFakeRowwiseQuantized",
    "FloatToFused2BitFakeRowwiseQuantized",
    "HalfToFused2BitFakeRowwiseQuantized",
    engine="GREEDY",
)
class QuantizeRowsGreedy(QuantizeRows):
    """The same after a search for the range with the smallest squared error."""

    greedy = True


@register(
    "Fused8BitRowwiseQuantizedToFloat",
    "Fused8BitRowwiseQuantizedToHalfFloat",
    "Fused8BitRowwiseQuantizedHalfScaleBiasToFloat",
    "Fused8BitRowwiseQuantizedHalfScaleBiasToHalfFloat",
    "Fused4BitRowwiseQuantizedToFloat",
    "Fused4BitRowwiseQuantizedToHalf",
    "Fused2BitRowwiseQuantizedToFloat",
    "Fused2BitRowwiseQuantizedToHalf",
)
class DequantizeRows(RowOperator):
    """Fused rows to rows of floats (or float16)."""

    def setup(self) -> None:
        super().setup()
        # Caffe2's name says half, but what it gives is float.
        self.half = "ToHalf" in self.type and "HalfScaleBias" not in self.type

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "uint8")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT16 if self.half else dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _rowwise.dequantize_step(self.form.name, outs[0].dims[-1], self.half, ins[0].ndim > 1)


@register("GatherFused8BitRowwise")
class GatherRows(DequantizeRows):
    """Rows by their numbers, as floats."""

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 1, "int32", "int64")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _rowwise.gather_step(self.form.name, outs[0].dims[-1])


@register("FloatToRowwiseQuantized8Bits")
class QuantizeRowsApart(Operator):
    """Rows of dim 0; output 1 has their scales and biases."""

    takes = "float"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.UINT8 if i == 0 else dtypes.FLOAT), TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _rowwise.quantize_step("apart", math.prod(ins[0].dims[1:]), 8, False, False, True)


@register("Rowwise8BitQuantizedToFloat")
class DequantizeRowsApart(Operator):
    """And back."""

    takes = ("uint8", "float")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _rowwise.dequantize_step("apart", math.prod(ins[0].dims[1:]), False, True)
