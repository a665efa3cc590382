"""Schemas of recurrent operators."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims


def cell_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule of the cells: the states' dims, 1 x N x D."""
    gates, states = ins[op.states], ins[: op.states]
    if states[-1].ndim != 3 or gates.ndim != 3 or states[-1].dims[0] != 1:
        raise ShapeError(
            f"{op.input_text(ins, op.states - 1)} and {op.input_text(ins, op.states)} must have 3 dimensions: 1, "
            "batch, elements"
        )
    dims = states[-1].dims
    for i, state in enumerate(states):
        if state.dims != dims:
            raise op.shape_error(ins, i, f"{dims}, as input {op.states - 1} has")
    if gates.dims != (*dims[:2], op.gates * dims[2]):
        raise op.shape_error(ins, op.states, f"{(*dims[:2], op.gates * dims[2])}: {op.gates} gates for each element")
    if op.args.sequence_lengths and ins[op.states + 1].size != dims[1]:
        raise op.shape_error(ins, op.states + 1, f"({dims[1]},), a length for each row of the batch")
    if ins[-1].size < 1:
        raise op.shape_error(ins, len(ins) - 1, "one element: the number of the step")
    return [dims] * op.states


CELL_ARGS = [
    Arg("drop_states", "bool", False, "states of a sequence that is over become 0 rather than stay"),
    Arg("sequence_lengths", "bool", True, "0: there is no input with lengths, no sequence is over"),
]
SECOND_OUTPUT_ARGS = [
    Arg("Y2_scale", "float", None, "scale of the second output"),
    Arg("Y2_zero_point", "int", 0, "zero point of the second output, read when Y2_scale is given"),
]
LENGTHS, STEP = "lengths: (N), int32; missing with sequence_lengths=0", "timestep: (1), int32, counted from 0"
declare(
    "LSTMUnit",
    "Int8LSTMUnit",
    inputs=(4, 5),
    outputs=2,
    args=[
        Arg("forget_bias", "float", 0.0, "added to the forget gate"),
        *CELL_ARGS,
        *OUTPUT_ARGS,
        *SECOND_OUTPUT_ARGS,
        *ARGS,
    ],
    shape=cell_dims,
    doc="""One step of an LSTM: C = sigmoid(f + forget_bias) * C' + sigmoid(i) * tanh(g), H = sigmoid(o) * tanh(C).""",
    in_doc=("H': (1, N, D), the hidden state before", "C': (1, N, D), the cell before",
            "gates: (1, N, 4 D): i, f, o, g", LENGTHS, STEP),
    out_doc=("H: (1, N, D)", "C: (1, N, D)"),
)  # fmt: skip
declare(
    "GRUUnit",
    inputs=(3, 4),
    outputs=1,
    args=[*CELL_ARGS, Arg("forget_bias", "float", 0.0, "no effect")],
    shape=cell_dims,
    doc="One step of a GRU: H = H' * u + tanh(output) * (1 - u), u = sigmoid(update). The reset gate is not looked at.",
    in_doc=("H': (1, N, D), the state before", "gates: (1, N, 3 D): reset, update, output", LENGTHS, STEP),
    out_doc=("H: (1, N, D)",),
)


# ---- a cell over a sequence ----------------------------------------------------------------------------------------


def link_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].size < 1:
        raise op.shape_error(ins, 0, "one element: the number of the step")
    if ins[1].ndim < 1:
        raise op.shape_error(ins, 1, "steps in front")
    return [(op.args.window, *ins[1].dims[1:]), ins[1].dims]


def lstm_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule of InferenceLSTM, after all shapes have been checked against each other."""
    cells, each = op.args.num_layers * op.directions, 4 if op.args.has_biases else 2
    if len(ins) != 3 + cells * each:
        raise ArgumentError(f"{cells} cells take {3 + cells * each} inputs, not {len(ins)}")
    x, hidden = ins[0], ins[1]
    if x.ndim != 3:
        raise op.shape_error(ins, 0, "3 dimensions")
    steps, batch, width = (x.dims[1], x.dims[0], x.dims[2]) if op.args.batch_first else x.dims
    if hidden.ndim != 3 or hidden.dims[:2] != (cells, batch) or hidden.dims[2] == 0:
        raise op.shape_error(ins, 1, f"({cells}, {batch}, hidden)")
    d = hidden.dims[2]
    want = {2: hidden.dims}
    for cell in range(cells):
        inner = width if cell < op.directions else d * op.directions
        shapes = ((4 * d, inner), (4 * d, d), (4 * d,), (4 * d,))
        want.update({3 + cell * each + i: shape for i, shape in enumerate(shapes[:each])})
    for i, dims in want.items():
        if ins[i].dims != dims:
            raise op.shape_error(ins, i, str(dims))
    out = d * op.directions
    return [(batch, steps, out) if op.args.batch_first else (steps, batch, out), hidden.dims, hidden.dims]


NO_TRAINING = "no effect: it is about training"
declare(
    "RecurrentNetwork",
    inputs=(1, MANY),
    outputs=(2, MANY),
    args=[
        Arg("step_net", "net", None, "the net of one step, needed; it sees the blobs around"),
        Arg("timestep", "string", "timestep", "blob of the step net that holds the number of the step, int32"),
        Arg("recurrent_states", "strings", (), "names of the states: tensors of all steps, first the initial ones"),
        Arg("initial_recurrent_state_ids", "ints", (), "for each state, the input that it begins with"),
        Arg("link_internal", "strings", (), "blobs of the step net that are steps of other tensors"),
        Arg("link_external", "strings", (), "for each of them the tensor: a state, or a blob around"),
        Arg("link_offset", "ints", (), "for each of them, which step, counted from the present one"),
        Arg("link_window", "ints", (), "for each of them, how many steps; 1 when missing"),
        Arg("alias_src", "strings", (), "states that are outputs"),
        Arg("alias_dst", "strings", (), "for each of them the output"),
        Arg("alias_offset", "ints", (), "for each of them its first step; negative: from the end"),
        Arg("backward_step_net", "net", None, NO_TRAINING),
        Arg("backward_link_internal", "strings", (), NO_TRAINING),
        Arg("backward_link_external", "strings", (), NO_TRAINING),
        Arg("backward_link_offset", "ints", (), NO_TRAINING),
        Arg("param", "ints", (), NO_TRAINING),
        Arg("param_grads", "strings", (), NO_TRAINING),
        Arg("outputs_with_grads", "ints", (), NO_TRAINING),
        Arg("recompute_blobs_on_backward", "strings", (), NO_TRAINING),
        Arg("enable_rnn_executor", "bool", False, "no effect"),
        Arg("rnn_executor.num_threads", "int", 0, "no effect"),
        Arg("rnn_executor.max_cuda_streams", "int", 0, "no effect"),
    ],
    doc="""Runs a step net for every step of a sequence, with states that go from one step to the next.

A state is a tensor (initial steps + T) x N x D. Before a step the linked blobs that the step net reads are taken from
their tensors, after it those that it writes are put there.""",
    in_doc=("sequence: (T, N, ...)", "others: sequences, initial states (steps x N x D, N x D or D), parameters"),
    out_doc=("states: as alias_dst says", "step workspaces: an object, the last output"),
)
declare(
    "rnn_internal_apply_link",
    inputs=2,
    outputs=2,
    inplace=[(1, 1)],
    args=[
        Arg("offset", "int", None, "needed: step, counted from the present one"),
        Arg("window", "int", 1, "steps"),
    ],
    shape=link_dims,
    doc="Some steps of a tensor.",
    in_doc=("timestep: (1), int32", "external: (steps, ...)"),
    out_doc=("internal: (window, ...)", "external: input 1"),
)
declare(
    "InferenceLSTM",
    inputs=(1, MANY),
    outputs=3,
    args=[
        Arg("num_layers", "int", 1, "layers, each on the outputs of the one before"),
        Arg("has_biases", "bool", True, "weights come with biases"),
        Arg("batch_first", "bool", False, "the sequence is (N, T, D)"),
        Arg("bidirectional", "bool", False, "every layer has a second cell that runs from the end"),
    ],
    shape=lstm_dims,
    doc="LSTM layers as PyTorch has them.",
    in_doc=("sequence: (T, N, D)", "H: (layers * directions, N, hidden)", "C: the same",
            "for each layer and direction: W_ih (4 hidden, D), W_hh (4 hidden, hidden), b_ih, b_hh; gates i, f, g, o"),
    out_doc=("output: (T, N, directions * hidden)", "H: (layers * directions, N, hidden), at the end", "C: the same"),
)  # fmt: skip
