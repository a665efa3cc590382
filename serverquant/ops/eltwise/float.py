"""Sums and products of float, double, int32 and int64 tensors."""

from __future__ import annotations

from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, Spec
from serverquant.ops.eltwise import _eltwise
from serverquant.ops.eltwise.broadcast import old_rule, strides
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register

NUMBERS = ("float", "double", "int32", "int64")


class Arithmetic(Operator):
    """Inputs are plain tensors of one numeric type."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, *NUMBERS)
        for i in range(1, len(ins)):
            if ins[i].kind == INT8 or ins[i].dtype != ins[0].dtype:
                self.expect(ins, i, dtypes.name(ins[0].dtype))


@register("Add", "Mul")
class Binary(Arithmetic):
    """C = A op B, with Caffe2's old broadcast rule (`broadcast=1`) or numpy's."""

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[0].dims == ins[1].dims:
            return _eltwise.binary_step(self.type, ins[0].dtype)
        if self.args.broadcast:
            return _eltwise.middle_step(self.type, ins[0].dtype, *old_rule(self, ins))
        joint = outs[0].dims
        return _eltwise.strided_step(
            self.type, ins[0].dtype, joint, strides(ins[0].dims, joint), strides(ins[1].dims, joint)
        )


@register("Sum")
class Sum(Arithmetic):
    """The inputs added from left to right."""

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _eltwise.sum_step(ins[0].dtype, len(ins))
