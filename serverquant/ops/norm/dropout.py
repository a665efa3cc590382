"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.norm import _norm
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


@register("Dropout")
class Dropout(PythonOperator):
    """A copy (is_test=1), or elements dropped at random."""

    def setup(self) -> None:
        if not self.given("is_test"):
            raise ArgumentError("argument is_test is missing: 1 to copy, 0 to drop elements")
        if not 0 <= self.args.ratio < 1:
            raise ArgumentError(f"argument ratio must be in [0, 1), not {self.args.ratio}")
        seed = self.definition.message.device_option.random_seed
        self.random: Any = np.random.RandomState(seed) if seed else np.random
        self.effects = not self.args.is_test

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, *(("float", "int8") if self.args.is_test else ("float",)))

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return super().output_type(ins, i) if i == 0 else (dtypes.BOOL, TENSOR)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _norm.keep_step() if self.args.is_test else super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        mask = np.asarray(self.random.random_sample(inputs[0].shape) > self.args.ratio)
        outputs[0][...] = inputs[0] * mask * np.float32(1 / (1 - self.args.ratio))
        if len(outputs) > 1:
            outputs[1][...] = mask
