"""Sums, products, comparisons and logic of plain tensors."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._types import expect_alike, kernel_of
from serverquant.ops.eltwise import _eltwise
from serverquant.ops.eltwise.broadcast import binary_grid
from serverquant.ops.eltwise.maps import BINARIES, FOLDS
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register(
    "Add",
    "Sub",
    "Mul",
    "Div",
    "LT",
    "LE",
    "GT",
    "GE",
    "EQ",
    "NE",
    "And",
    "Or",
    "Xor",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
)
class Binary(Operator):
    """C = f(A, B), with Caffe2's old broadcast rule (`broadcast=1`) or numpy's."""

    def check_types(self, ins: list[Spec]) -> None:
        expect_alike(self, ins, *BINARIES[self.type].types)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.BOOL, TENSOR) if BINARIES[self.type].bool_out else super().output_type(ins, i)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        found = BINARIES[self.type]
        whole = self.type == "Div" and ins[0].dtype in (dtypes.INT32, dtypes.INT64)
        grid = binary_grid(self, ins, outs[0].dims)
        return _eltwise.grid_step(kernel_of(found.stem, ins[0]), *grid, swapped=found.swapped, no_zeros=whole)


@register("Sum", "SumRelu", "SumInt", "Mean", "Max", "Min")
class Fold(Operator):
    """The inputs joined from left to right."""

    def check_types(self, ins: list[Spec]) -> None:
        expect_alike(self, ins, *FOLDS[self.type].types)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _eltwise.fold_step(kernel_of(FOLDS[self.type].stem, ins[0]), len(ins))
