"""Operators that collect tensors over time or in one block: numpy bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import Spec
from serverquant.ops._arrays import Arrays
from serverquant.runtime.registry import register


@register("Append")
class Append(Arrays):
    """Slices behind others, in place."""

    def setup(self) -> None:
        if self.inputs[0] != self.outputs[0]:
            raise ArgumentError(f'works in place: output 0 must be the blob of input 0, "{self.inputs[0]}"')

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        for i in (0, 1):
            if not ins[i].dims:
                raise self.shape_error(ins, i, "at least one dimension")
        if ins[0].dims[0]:
            self.expect(ins, 1, dtypes.name(ins[0].dtype))
            if ins[1].dims[1:] != ins[0].dims[1:]:
                raise self.shape_error(ins, 1, f"slices like those of input 0, {ins[0].dims[1:]}")

    def compute(self, *inputs: Any) -> Any:
        return np.concatenate(inputs) if len(inputs[0]) else inputs[1].copy()


@register("Accumulate")
class Accumulate(Arrays):
    """A sum over runs."""

    accepts = (("float",),)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        before = outputs[0]
        if isinstance(before, np.ndarray) and before.shape == inputs[0].shape and before.dtype == np.float32:
            outputs[0] = inputs[0] + np.float32(self.args.gamma) * before
        else:
            outputs[0] = inputs[0].copy()


@register("UnsafeCoalesce")
class UnsafeCoalesce(Arrays):
    """Everything in one vector."""

    accepts = (("float",),)

    def setup(self) -> None:
        if len(self.outputs) != len(self.inputs) + 1:
            raise ArgumentError(
                f"{len(self.inputs)} inputs need {len(self.inputs) + 1} outputs, not {len(self.outputs)}"
            )

    def infer(self, ins: list[Spec]) -> list[Spec] | None:
        whole = Spec((sum(spec.size for spec in ins),), dtypes.FLOAT)
        return [*(spec.with_dims(spec.dims) for spec in ins), whole]

    def compute(self, *inputs: Any) -> Any:
        return [*inputs, np.concatenate([x.ravel() for x in inputs])]
