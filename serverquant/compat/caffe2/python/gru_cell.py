"""The cell of a GRU."""

from __future__ import annotations

import functools
from typing import Any

from serverquant.compat.caffe2.python import brew, rnn_cell


class GRUCell(rnn_cell.RNNCell):
    """Gates in the order reset, update, output. linear_before_reset: the reset gate comes after the linear part."""

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 0.0,
        memory_optimization: bool = False,
        drop_states: bool = False,
        linear_before_reset: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.forget_bias, self.drop_states = float(forget_bias), drop_states
        self.linear_before_reset = linear_before_reset

    def _linear(self, model: Any, blob: Any, gate: str) -> Any:
        return brew.fc(model, blob, self.scope(f"{gate}_gate_t"), self.hidden_size, self.hidden_size, axis=2)

    def _apply(
        self, model: Any, input_t: Any, seq_lengths: Any, states: Any, timestep: Any, extra_inputs: Any = None
    ) -> tuple[Any, ...]:
        (before,) = states
        net, scope = model.net, self.scope
        parts = net.Split(input_t, [scope(f"input_t_{gate}") for gate in ("reset", "update", "output")], axis=2)
        reset, update = self._linear(model, before, "reset"), self._linear(model, before, "update")
        reset = net.Sum([reset, parts[0]], reset)
        opened = net.Sigmoid(reset, scope("reset_gate_t_sigmoid"))
        if self.linear_before_reset:
            output = net.Mul([opened, self._linear(model, before, "output")], scope("output_gate_t_mul"))
        else:
            output = self._linear(model, net.Mul([opened, before], scope("modified_hidden_t_prev")), "output")
        update = net.Sum([update, parts[1]], update)
        output = net.Sum([output, parts[2]], scope("output_gate_t_summed"))
        gates, _ = net.Concat([reset, update, output], [scope("gates_t"), scope("_gates_t_concat_dims")], axis=2)
        return (rnn_cell.cell_unit(self, net, "GRUUnit", [before, gates], seq_lengths, timestep, ["hidden_t"]),)

    def get_state_names(self) -> list[str]:
        return [self.scope("hidden_t")]


GRU = functools.partial(rnn_cell._LSTM, GRUCell)
