"""The LSTM cell on Int8 tensors, engine DNNLOWP."""

from __future__ import annotations

from dataclasses import replace

from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import static_params
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.ops.recurrent import _int8
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("LSTMUnit", "Int8LSTMUnit", engine="DNNLOWP")
class DnnlowpLSTMUnit(QuantizedOperator):
    """One step of an LSTM on bytes, sigmoid and tanh by table.

    Gates are taken to have the range of the sigmoid's table, whatever an Int8 blob says. Y_scale is the hidden state's,
    Y2_scale the cell's; without them each has the range that the float operator gives in this run.
    """

    takes = ("int8|float", "int8|float", "int8|float", "int32")

    def setup(self) -> None:
        super().setup()
        self.second = replace(self.options, output=static_params(self, "Y2", self.options.activation_precision))

    def infer(self, ins: list[Spec]) -> list[Spec] | None:
        outs = super().infer(ins)
        return outs and [outs[0], outs[0]]

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        return _int8.lstm_step(
            self.options,
            self.second,
            floats,
            forget_bias=self.args.forget_bias,
            lengths=self.args.sequence_lengths,
            drop=self.args.drop_states,
        )
