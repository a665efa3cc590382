"""The cell of an LSTM."""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.qparams import QParams, choose
from serverquant.quantization.emit.forms import emits
from serverquant.quantization.emit.unary import SIGMOID_INPUT
from serverquant.quantization.emit.writer import Writer, copied, out_arguments
from serverquant.quantization.net import arguments

# What Caffe2 takes the gates to have: the range of its sigmoid's table, which holds that of tanh.
GATES = choose(SIGMOID_INPUT.min, SIGMOID_INPUT.max)
LSTM_ARGS = ("forget_bias", "sequence_lengths", "drop_states")


def gates_input(w: Writer, op: OperatorDef, name: str) -> QParams | None:
    return GATES if list(op.input).index(name) == 2 else None


@emits("LSTMUnit", writes="Int8LSTMUnit Int8Quantize Int8Concat", demands=gates_input)
def lstm_unit(w: Writer, op: OperatorDef) -> None:
    """LSTMUnit, both states as int8."""
    given = copied(arguments(op), LSTM_ARGS)
    w.some_int8(op)
    for name in (*op.input[:3], *op.output):
        w.params(name)
    states = [w.as_int8(name).name for name in op.input[:2]]
    gates = w.requantized(w.as_int8(op.input[2]), GATES)
    params = [w.params(name) for name in op.output]
    made = [w.new(name, p).name for name, p in zip(op.output, params)]
    both = out_arguments(params[0]) | out_arguments(params[1], "Y2")
    w.out.quantized.update(dict.fromkeys(op.output, "Int8LSTMUnit"))
    written = w.add("Int8LSTMUnit", [*states, gates, *op.input[3:]], made, **both, **given)
    for i, p in enumerate(params):
        w.cut(written, p, i)
