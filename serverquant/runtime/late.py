"""Running one operator whose shapes follow from values that only running brings (Reshape to a computed shape, say)."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ServerquantError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.runtime._plan import Plan, PythonStep, Step


class LateSpec(Spec):
    """Spec of a blob whose values are there."""

    __slots__ = ("_blob",)

    def __init__(self, blob: Blob):
        found = blob.spec()
        super().__init__(found.dims, found.dtype, found.kind)
        self._blob = blob

    @property
    def value(self) -> Any:
        return self._blob.fetch() if self.kind == TENSOR else None


def late_step(operator: Any) -> Step:
    """Shapes are inferred anew, with all values at hand, when it runs."""
    return PythonStep(lambda inputs, outputs: run_late(operator, inputs, outputs))


def run_late(operator: Any, inputs: list[Blob], outputs: list[Blob]) -> None:
    """Infer, plan and run `operator` on blobs: a plan of one step, for this run alone."""
    ins: list[Spec] = [LateSpec(blob) for blob in inputs]
    outs = operator.infer(ins)
    if outs is None:
        raise ServerquantError("the shapes of the outputs cannot be told from the inputs")
    operator.check_outputs(ins, outs)
    plan = Plan()
    plan.operators = [operator]
    step = operator.plan(ins, outs)
    plan.add_step(step, inputs, [plan.add_value(s) for s in ins], outputs, [plan.add_value(s) for s in outs])
    plan.seal()
    plan.run()
