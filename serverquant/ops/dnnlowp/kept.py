"""Operators on Int8 tensors whose output has the input's scale and zero point."""

from __future__ import annotations

import numpy as np

from serverquant.blobs.spec import Spec
from serverquant.ops._movement import Movement
from serverquant.ops.dnnlowp._kept import kept_step
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.schema import Arg

KEPT_ARGS = [
    Arg("Y_scale", "float", None, "X's; an error where it is given and differs"),
    Arg("Y_zero_point", "int", None, "X's; an error where it is given and differs"),
]


def keep_params(op: Operator, step: Step) -> Step:
    """`step`, after a check that Y_scale and Y_zero_point, where given, are input 0's."""
    scale = float(np.float32(op.args.Y_scale)) if op.given("Y_scale") else None
    return kept_step(step, scale, op.args.Y_zero_point if op.given("Y_zero_point") else None)


class Int8Movement(Movement):
    """Before the class of the float operator in an operator's bases: the same on an Int8 tensor of uint8."""

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 0, "int8")

    def move(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return keep_params(self, super().move(ins, outs))
