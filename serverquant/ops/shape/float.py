"""Operators that move elements, for every data type and for Int8 tensors (scale and zero point go along)."""

from __future__ import annotations

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, INT8, TENSOR, Spec
from serverquant.blobs.store import Int8
from serverquant.ops.shape import _shape
from serverquant.ops.shape.schema import concat_axis, permutation, resolve_reshape
from serverquant.runtime._plan import PythonStep, Step, copy_step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


class Movement(Operator):
    """Takes plain tensors of any type but strings."""

    def check_types(self, ins: list[Spec]) -> None:
        for i, spec in enumerate(ins):
            if spec.kind not in (TENSOR, INT8) or spec.dtype == dtypes.STRING:
                self.expect(ins, i, "float")


def leading_dim_kept(ins: list[Spec], outs: list[Spec], wanted: list[int]) -> int:
    """The step's `rows`: 1 if a new first dim of the input becomes the output's, and changes nothing else."""
    same = bool(ins[0].dims and outs[0].dims) and 0 < ins[0].dims[0] == outs[0].dims[0]
    return int(same and bool(wanted) and wanted[0] in (0, -1) and -1 not in wanted[1:])


@register("Reshape")
class Reshape(Movement):
    """The same elements in another shape; output 1 holds the old one."""

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        if i == 0:
            return super().output_type(ins, i)
        return ins[1].dtype if len(ins) == 2 else dtypes.INT64, TENSOR

    def setup(self) -> None:
        if len(self.inputs) == 1 and not self.given("shape"):
            raise ArgumentError("needs argument shape or a second input with the new shape")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if len(ins) == 2:
            self.expect(ins, 1, "int32", "int64")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if outs[0].kind == EMPTY:
            return PythonStep(self._run_late)
        rows = leading_dim_kept(ins, outs, self.args.shape) if len(ins) == 1 else 0
        return _shape.reshape_step(rows, ins[0].dims, outs[1].dtype == dtypes.INT32)

    def _run_late(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        """With a shape that another operator of the net has computed."""
        x, old = inputs[0], inputs[0].dims
        y = x.view().reshape(resolve_reshape([int(d) for d in inputs[1].view().flat], old))
        outputs[0].feed(Int8(y, x.scale, x.zero_point) if x.kind == INT8 else y)
        outputs[1].feed(np.array(old, inputs[1].view().dtype))


@register("Flatten")
class Flatten(Movement):
    """The same elements as a matrix."""

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return copy_step(int(axis_of(self.args.axis, ins[0].ndim, extra=1) == 1))


@register("ExpandDims")
class ExpandDims(Movement):
    """The same elements with dims of 1 put in."""

    def setup(self) -> None:
        if not self.args.dims:
            raise ArgumentError("needs argument dims")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return copy_step(int(ins[0].ndim > 0 and min(self.args.dims) > 0))


@register("Shape")
class Shape(Operator):
    """The input's dims; known while planning."""

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR


@register("Copy")
class Copy(Movement):
    """A copy of the input."""

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return copy_step(1)


@register("Dropout")
class Dropout(Movement):
    """Identity."""

    def setup(self) -> None:
        if not self.args.is_test:
            raise ArgumentError("Dropout runs with is_test=1 only: serverquant does not train")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return super().output_type(ins, i) if i == 0 else (dtypes.BOOL, TENSOR)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return copy_step(1)


class Permute(Movement):
    """Moves axes: output axis i is input axis axes(ndim)[i]."""

    def axes(self, ndim: int) -> list[int]:
        raise NotImplementedError

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _shape.transpose_step(self.axes(ins[0].ndim))


@register("Transpose")
class Transpose(Permute):
    """Permutes the axes."""

    def axes(self, ndim: int) -> list[int]:
        return permutation(self, ndim)


@register("NCHW2NHWC")
class ChannelsLast(Permute):
    """Moves the channels last."""

    def axes(self, ndim: int) -> list[int]:
        return [0, *range(2, ndim), 1]


@register("NHWC2NCHW")
class ChannelsSecond(Permute):
    """Moves the channels second."""

    def axes(self, ndim: int) -> list[int]:
        return [0, ndim - 1, *range(1, ndim - 1)]


@register("Concat")
class Concat(Movement):
    """Joins tensors along an axis; output 1 holds their sizes."""

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return super().output_type(ins, i) if i == 0 else (dtypes.INT32, TENSOR)

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        for i, spec in enumerate(ins):
            if (spec.kind, spec.dtype) != (ins[0].kind, ins[0].dtype) or spec.kind == INT8:
                self.expect(ins, i, "float" if spec.kind == INT8 else dtypes.name(ins[0].dtype))

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _shape.concat_step(concat_axis(self, ins[0].ndim), self.args.add_axis)


@register("Gather")
class Gather(Movement):
    """Slices of data at indices."""

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 1, "int32", "int64")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        axis = axis_of(self.args.axis, ins[0].ndim)
        return _shape.gather_step(axis, bool(self.args.match_outer))
