"""Cells of recurrent nets on float tensors."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.recurrent import _cells
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


class Cell(Operator):
    """states: inputs that are states, in front; gates: how many the next input holds."""

    states, gates = 1, 1

    def setup(self) -> None:
        lengths = int(self.args.sequence_lengths)
        want = self.states + 2 + lengths
        if len(self.inputs) != want:
            raise ArgumentError(f"with sequence_lengths={lengths} there are {want} inputs, not {len(self.inputs)}")

    def check_types(self, ins: list[Spec]) -> None:
        for i in range(len(ins)):
            self.expect(ins, i, "float" if i <= self.states else "int32")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _cells.cell_step(
            self.states,
            lengths=self.args.sequence_lengths,
            drop=self.args.drop_states,
            forget_bias=getattr(self.args, "forget_bias", 0.0),
        )


@register("LSTMUnit")
class LSTMUnit(Cell):
    """One step of an LSTM."""

    states, gates = 2, 4


@register("GRUUnit")
class GRUUnit(Cell):
    """One step of a GRU."""

    states, gates = 1, 3
