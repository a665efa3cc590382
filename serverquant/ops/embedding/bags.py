"""Sums over bags of table rows: float, half and quantized tables. What a type does is in its name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.embedding import _bags
from serverquant.ops.embedding.schema import TAIL
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register


class Bags(Operator):
    """DATA, then WEIGHTS if the type is weighted, INDICES, LENGTHS; last what the table's form asks for.

    weights, indices, lengths, apart (scale and bias of byte tables), mapping (of pruned tables): numbers of inputs,
    None where there is none. bits: of the table's values; 32 stands for float and float16. fused: parameters are in
    the rows.
    """

    apart: int | None = None
    mapping: int | None = None
    fused = False
    bits = 32

    def setup(self) -> None:
        self.mean = "Mean" in self.type
        self.positional = "Positional" in self.type
        weighted = int("Weighted" in self.type)
        self.weights = 1 if weighted else None
        self.indices, self.lengths = 1 + weighted, 2 + weighted

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, *(("float", "float16") if self.bits == 32 else ("uint8",)))
        self.expect(ins, self.indices, "int32", "int64")
        self.expect(ins, self.lengths, "int32", *(() if ins[self.lengths].size else ("int64",)))  # of no bags
        for i in (self.weights, self.apart):
            if i is not None:
                self.expect(ins, i, "float")
        if self.mapping is not None:
            self.expect(ins, self.mapping, "int32")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        bits = 16 if ins[0].dtype == dtypes.FLOAT16 else self.bits
        columns = math.prod(outs[0].dims[1:])
        stride = columns * bits // 8 + (TAIL[bits] if self.fused else 0)
        last = self.apart or self.mapping or 0
        return _bags.bags_step(
            bits, columns, stride, weighted=self.weights is not None, positional=self.positional, mean=self.mean,
            apart=last if self.apart else 0, mapping=last if self.mapping else 0,
        )


@register("SparseLengthsSum", "SparseLengthsMean", "SparseLengthsWeightedSum", "SparseLengthsPositionalWeightedSum")
class FloatBags(Bags):
    """Of float and float16 tables."""


@register(
    "SparseLengthsSum8BitsRowwise",
    "SparseLengthsMean8BitsRowwise",
    "SparseLengthsWeightedSum8BitsRowwise",
    "SparseLengthsWeightedMean8BitsRowwise",
)
class ApartBags(Bags):
    """Of byte tables whose scales and biases are the last input."""

    bits = 8

    def setup(self) -> None:
        super().setup()
        self.apart = self.lengths + 1


@register(
    "SparseLengthsSumFused8BitRowwise",
    "SparseLengthsMeanFused8BitRowwise",
    "SparseLengthsWeightedSumFused8BitRowwise",
    "SparseLengthsSumFused4BitRowwise",
    "SparseLengthsMeanFused4BitRowwise",
    "SparseLengthsWeightedSumFused4BitRowwise",
    "SparseLengthsSumFused2BitRowwise",
    "SparseLengthsMeanFused2BitRowwise",
    "SparseLengthsWeightedSumFused2BitRowwise",
)
class FusedBags(Bags):
    """Of fused tables: each row has its scale and bias behind its values."""

    fused = True

    def setup(self) -> None:
        super().setup()
        self.bits = int(self.type[self.type.index("Bit") - 1])


@register(
    "SparseLengthsSum8BitRowwiseSparse",
    "SparseLengthsMean8BitRowwiseSparse",
    "SparseLengthsWeightedSum8BitRowwiseSparse",
    "SparseLengthsSum4BitRowwiseSparse",
    "SparseLengthsMean4BitRowwiseSparse",
    "SparseLengthsWeightedSum4BitRowwiseSparse",
    "SparseLengthsSum2BitRowwiseSparse",
    "SparseLengthsMean2BitRowwiseSparse",
    "SparseLengthsWeightedSum2BitRowwiseSparse",
)
class PrunedBags(FusedBags):
    """Of pruned fused tables: the last input says where a row lies now."""

    def setup(self) -> None:
        super().setup()
        self.mapping = self.lengths + 1


@register("SparseLengthsSumSparseLookup")
class SparseLookup(PythonOperator):
    """Indices of a pruned table mapped to its rows, those that are gone left out of their bags."""

    takes = ("int32|int64", "int32", "int32", "float")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        indices, lengths, mapping = inputs[:3]
        if any(x.ndim != 1 for x in inputs):
            raise ShapeError("all inputs must have 1 dimension")
        if lengths.min(initial=0) < 0 or lengths.sum() != indices.size:
            raise ShapeError(f"lengths must be 0 or more and add up to the {indices.size} indices, not {lengths.sum()}")
        if indices.size and not 0 <= indices.min() <= indices.max() < mapping.size:
            raise ShapeError(f"indices {indices.min()} to {indices.max()} are outside of {mapping.size} mapped rows")
        if len(inputs) != len(outputs) + 1:
            raise ShapeError(f"{len(inputs)} inputs have {len(inputs) - 1} outputs, not {len(outputs)}")
        rows = mapping[indices]
        kept = rows >= 0
        bags = np.repeat(np.arange(lengths.size), lengths)
        outputs[0] = rows[kept].astype(indices.dtype)
        outputs[1] = np.bincount(bags[kept], minlength=lengths.size).astype(np.int32)
        if len(inputs) > 3:
            if inputs[3].size != indices.size:
                raise ShapeError(f"there are {inputs[3].size} weights for {indices.size} indices")
            outputs[2] = inputs[3][kept]
