"""Reductions of plain tensors: native steps."""

from __future__ import annotations

import math

import numpy as np

from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, TENSOR, Spec
from serverquant.kernels.reduce import _reduce as kernels
from serverquant.ops._types import SHORT, kernel_of
from serverquant.ops.reduce import _reduce
from serverquant.ops.reduce.schema import (
    BY_AXES,
    BY_SIDE,
    FLOAT,
    WHOLE,
    Reduction,
    axes_of,
    keeps_dims,
    one_axis,
    top_k_dims,
)
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register

MAXIMUM = Reduction("reduce_max", "reduce_max", "", FLOAT, "")
SUM = Reduction("reduce_sum", "reduce_sum", "", FLOAT, "")


class Reduce(Operator):
    """A kernel for the last group of neighbouring axes, another for the groups before, something at the end."""

    def setup(self) -> None:
        self.reduction = self.choose()

    def choose(self) -> Reduction:
        return BY_AXES[self.type]

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, *self.reduction.types)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        first, then, finish, _, _ = self.reduction
        axes = axes_of(self, ins[0].ndim)
        mask = [axis in axes for axis in range(ins[0].ndim)]
        finish = {"": "", "sqrt": "sqrt", "scale": "mul", "divide": "div"}[finish]
        return _reduce.reduce_step(
            kernel_of(first, ins[0]),
            kernel_of(then, ins[0]),
            kernel_of(finish, ins[0]) if finish else "",
            SHORT[ins[0].dtype],
            mask,
            keeps_dims(self),
            zero_of_nothing="Front" in self.type or "Back" in self.type,
        )


@register("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2")
class ReduceAxes(Reduce):
    """Over `axes`."""


@register("SumElements", "SumElementsInt", "SumSqrElements")
class ReduceWhole(Reduce):
    """Over everything."""

    def choose(self) -> Reduction:
        found = WHOLE[self.type]
        return found._replace(finish="scale") if getattr(self.args, "average", False) else found


@register("ReduceTailSum", "RowwiseMax", "ColwiseMax")
class ReduceRows(Reduce):
    """Over rows or columns."""

    def choose(self) -> Reduction:
        return SUM if self.type == "ReduceTailSum" else MAXIMUM


@register(
    "ReduceFrontSum", "ReduceFrontMean", "ReduceFrontMax", "ReduceBackSum", "ReduceBackMean", "ReduceBackMax"
)
class ReduceSide(Reduce):
    """Over the first or last axes; with lengths over a part of one."""

    def choose(self) -> Reduction:
        return BY_SIDE[self.type.replace("ReduceFront", "").replace("ReduceBack", "")]

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 2:
            self.expect(ins, 1, "int32")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if len(ins) == 1:
            return super().plan(ins, outs)
        kind = self.type[-4:] if self.type.endswith("Mean") else self.type[-3:]
        return _reduce.lengths_step(kind.lower(), SHORT[ins[0].dtype], "Front" in self.type)


def parts(dims: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """(outer, n, inner) around an axis."""
    return math.prod(dims[:axis]), dims[axis], math.prod(dims[axis + 1 :])


@register("ArgMax", "ArgMin")
class Arg(Operator):
    """The place of the first largest or smallest element."""

    takes = "float|double|int32|int64"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        axis = one_axis(self, ins)
        return _reduce.arg_step(kernel_of("arg_max" if self.type == "ArgMax" else "arg_min", ins[0]), axis)


@register("TopK")
class TopK(Operator):
    """The k largest elements along an axis."""

    takes = ("float", "int64")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.FLOAT if i == 0 else dtypes.INT64), TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        axis = one_axis(self, ins)
        if outs[0].kind == EMPTY:
            return PythonStep(self._run_late)
        return _reduce.top_k_step(axis, outs[0].dims[axis], batched=len(ins) == 1 and len(outs) == 2)

    def _run_late(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        """With a k that another operator of the net has computed."""
        x = inputs[0].view()
        axis = self.args.axis % x.ndim
        k = int(inputs[1].view().flat[0])
        dims = top_k_dims(x.shape, axis, k)
        for blob, found, shape in zip(outputs, kernels.py_top_k(x.reshape(parts(x.shape, axis)), k), dims):
            blob.feed(np.ascontiguousarray(found).reshape(shape))
