"""Matrix products of float tensors."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from serverquant._base.errors import OperatorError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.kernels.matmul_f32._matmul_f32 import matmul
from serverquant.ops.matmul import _matmul
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


class Product(Operator):
    """A product whose B is packed once as long as it stays the same, else at every run."""

    takes = "float"

    def make(self, ins: list[Spec]) -> Step:
        raise NotImplementedError

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        step = self.make(ins)
        step.prepare = partial(self.prepare, step)
        return step

    def prepare(self, step: Step, inputs: list[Blob], outputs: list[Blob]) -> None:
        blob, layout = inputs[1], _matmul.panel_layout(step, inputs[1].dims)
        panels = blob.packed(("matmul_f32", *layout), lambda: _matmul.pack(blob.view(), *layout))
        _matmul.set_panels(step, panels, blob.version)


@register("MatMul")
class MatMul(Product):
    """Y = A B, all float."""

    def make(self, ins: list[Spec]) -> Step:
        axes = axis_of(self.args.axis_a, ins[0].ndim), axis_of(self.args.axis_b, ins[1].ndim)
        return _matmul.matmul_step(*axes, trans_a=self.args.trans_a, trans_b=self.args.trans_b)


@register("BatchMatMul")
class BatchMatMul(Product):
    """Y = A B for every matrix of a batch, all float."""

    def make(self, ins: list[Spec]) -> Step:
        return _matmul.batch_step(
            trans_a=self.args.trans_a and ins[0].ndim > 1, trans_b=self.args.trans_b and ins[1].ndim > 1
        )


@register("ConcatBatchMatMulBatchGatherOp")
class ProductsOfPairs(PythonOperator):
    """All pairs as one product of a matrix with itself; then the wanted ones."""

    takes = ("int32|int64", "float")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        indices, *parts = inputs
        together = np.stack([part.reshape(len(part), math.prod(part.shape[1:])) for part in parts], axis=1)
        count = len(parts) ** 2
        pairs = matmul(together, together, transposed=True).reshape(len(together), count)
        if indices.size and not 0 <= indices.min() <= indices.max() < count:
            bad = next(int(i) for i in indices.flat if not 0 <= i < count)
            raise OperatorError(f"index {bad} is out of range for {count} pairs of {len(parts)} inputs")
        outputs[0][...] = pairs[:, indices]
