"""From operators and the blobs' present shapes to a Plan.

Planning walks the operators and infers shapes. Small integer tensors that follow from shapes and from values at hand
are computed on the way. An operator whose outputs depend on values that only running brings ends the segment: the next
plan starts behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from serverquant._base.errors import MissingBlobError, ServerquantError, placed
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, TENSOR, Spec
from serverquant.runtime._plan import Plan, constant_step
from serverquant.runtime.operator import Operator

SMALL = 64  # elements; larger integer tensors are data, not shapes
UNKNOWN = Spec((), 0, EMPTY)


class EntrySpec(Spec):
    """Spec of a blob as the segment finds it. Whoever reads its values makes the plan depend on them."""

    __slots__ = ("_blob", "_plan")

    def __init__(self, blob: Blob, plan: Plan):
        found = blob.spec()
        super().__init__(found.dims, found.dtype, found.kind)
        self._blob, self._plan = blob, plan

    @property
    def follows(self) -> bool:
        return False

    @property
    def value(self) -> Any:
        return self.peek() if self.dtype in (dtypes.INT32, dtypes.INT64) else None

    def peek(self) -> Any:
        if self.kind != TENSOR or self.dtype == dtypes.STRING or self.size > SMALL:
            return None
        if self._value is None:
            self._value = self._blob.fetch()
            self._plan.guard(self._blob, self._value.tobytes())
        return self._value


class Operators(Protocol):
    """What a planner asks of a net."""

    operators: list[Operator]

    def inputs_of(self, index: int) -> list[Blob]: ...

    def outputs_of(self, index: int, ins: list[Spec], outs: list[Spec]) -> list[Blob]: ...


class Planner:
    """Fills one plan with steps for the operators `pending`, in that order, up to what only running tells.

    Without `waits`, an operator whose output shapes are unknown is the last one. With it (operator index -> indices of
    those that must run before), only operators that wait for such a one are left for a later plan.
    """

    def __init__(self, net: Operators, plan: Plan, waits: Sequence[Sequence[int]] | None = None):
        self.net, self.plan, self.waits = net, plan, waits
        self.known: dict[Blob, tuple[Spec, int]] = {}

    def build(self, pending: Sequence[int]) -> Plan:
        held: set[int] = set()  # with unknown outputs, or behind such
        rest: Sequence[int] = ()
        for place, index in enumerate(pending):
            if self.waits is not None and not held.isdisjoint(self.waits[index]):
                held.add(index)
                rest = (*rest, index)
                continue
            operator = self.net.operators[index]
            try:
                whole = self._add(operator, index)
            except (ServerquantError, MemoryError) as error:
                named = zip(operator.inputs, self.net.inputs_of(index))
                known = [(name, self.known[blob][0]) for name, blob in named if blob in self.known]
                raise placed(error, operator.place, known, operator.outputs) from error.__cause__
            if not whole:
                if self.waits is None:
                    rest = pending[place + 1 :]
                    break
                held.add(index)
        self.plan.rest = rest
        self.plan.seal()
        return self.plan

    def _add(self, operator: Operator, index: int) -> bool:
        """Plan one operator; False if the shapes of its outputs stay unknown until it has run."""
        inputs = self.net.inputs_of(index)
        found = [self._input(operator, i, blob) for i, blob in enumerate(inputs)]
        ins, in_values = [spec for spec, _ in found], [value for _, value in found]
        operator.check_types(ins)
        outs = operator.infer(ins)
        whole = outs is not None
        specs = outs if outs is not None else [UNKNOWN] * len(operator.outputs)
        operator.check_outputs(ins, specs)
        values = operator.schema.values(operator, ins) if whole and operator.schema.values else None
        if values is not None:
            listed = values if isinstance(values, list) else [values]
            arrays = [np.asarray(v, dtypes.NUMPY[spec.dtype], order="C") for v, spec in zip(listed, specs)]
            specs = [Spec(array.shape, spec.dtype, spec.kind, array) for array, spec in zip(arrays, specs)]
            step = constant_step([array.tobytes() for array in arrays])
        else:
            step = operator.plan(ins, specs) if whole else operator.plan_late(ins, specs)
        outputs = self.net.outputs_of(index, ins, specs)
        out_values = [self._output(blob, spec, inputs) for blob, spec in zip(outputs, specs)]
        self.plan.operators.append(operator)
        self.plan.add_step(step, inputs, in_values, outputs, out_values)
        return whole

    def _input(self, operator: Operator, i: int, blob: Blob) -> tuple[Spec, int]:
        if operator.any_inputs:
            return UNKNOWN, self.plan.add_value(UNKNOWN)
        found = self.known.get(blob)
        if found is not None:
            return found
        spec = EntrySpec(blob, self.plan)
        if spec.kind == EMPTY:
            why = blob.why_empty or "no operator before this one makes it; feed it, or run the net that makes it, first"
            raise MissingBlobError(f'input {i} "{operator.inputs[i]}" is empty: {why}')
        value = self.plan.add_value(spec)
        self.plan.add_entry(blob, value)
        self.known[blob] = spec, value
        return spec, value

    def _output(self, blob: Blob, spec: Spec, inputs: list[Blob]) -> int:
        """The value's number. An operator in place that leaves the shape as it was keeps the number, so that running it
        never touches the shape."""
        before = self.known.get(blob)
        if before and blob in inputs and before[0].same_type(spec):
            value = before[1]
        else:
            value = self.plan.add_value(spec)
        self.known[blob] = spec, value
        return value
