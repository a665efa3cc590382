"""Recurrent cells and nets against plain numpy, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run
from reference import layers as want

from serverquant import core
from serverquant._base.errors import ArgumentError, OperatorError, ShapeError
from serverquant.blobs.store import Int8
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(21)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("d", [1, 7, 16, 33])
@pytest.mark.parametrize("drop", [0, 1])
def test_lstm_unit(d, drop):
    h, c, gates, lengths = floats(1, 5, d), floats(1, 5, d), 3 * floats(1, 5, 4 * d), np.int32([0, 1, 2, 3, 9])
    feeds = {"H": h, "C": c, "gates": gates, "lengths": lengths, "t": np.int32([2])}
    got = run("LSTMUnit", feeds, ("h", "c"), drop_states=drop, forget_bias=0.5)
    for new, before, now in zip(got, want.lstm_cell(h, c, gates, 0.5), (h, c)):
        close(new[:, 3:], before[:, 3:])
        assert new[:, :3].tobytes() == (np.zeros_like(now) if drop else now)[:, :3].tobytes()
    del feeds["lengths"]
    got = run("LSTMUnit", feeds, ("h", "c"), sequence_lengths=0, forget_bias=0.5)
    close(got[0], want.lstm_cell(h, c, gates, 0.5)[0])


@pytest.mark.parametrize("drop", [0, 1])
def test_gru_unit(drop):
    h, gates = floats(1, 3, 9), floats(1, 3, 27)
    feeds = {"H": h, "gates": gates, "lengths": np.int32([4, 1, 2]), "t": np.int32([1])}
    got = run("GRUUnit", feeds, ("h",), drop_states=drop)
    _, update, output = np.split(gates, 3, axis=2)
    u = want.sigmoid(update)
    expected = h * u + np.tanh(output) * (1 - u)
    close(got[:, [0, 2]], expected[:, [0, 2]])
    assert got[:, 1].tolist() == (0 * h if drop else h)[:, 1].tolist()


def test_cells_take_new_batches():
    space = Workspace()
    feeds = {"H": floats(1, 2, 4), "C": floats(1, 2, 4), "gates": floats(1, 2, 16), "t": np.int32([0])}
    net = bind(space, "LSTMUnit", feeds, ("h", "c"), sequence_lengths=0)
    for batch in (2, 5, 0, 1):
        for name, width in (("H", 4), ("C", 4), ("gates", 16)):
            feeds[name] = floats(1, batch, width)
            space.get(name).feed(feeds[name])
        net.run()
        close(space.fetch("h"), want.lstm_cell(feeds["H"], feeds["C"], feeds["gates"])[0])


@pytest.mark.parametrize(
    ("changed", "args", "error", "words"),
    [
        ({"gates": (1, 2, 12)}, {}, ShapeError, "4 gates for each element"),
        ({"C": (1, 3, 4)}, {}, ShapeError, "as input 1 has"),
        ({"H": (2, 2, 4), "C": (2, 2, 4), "gates": (2, 2, 16)}, {}, ShapeError, "3 dimensions"),
        ({}, {"sequence_lengths": 1}, ArgumentError, "there are 5 inputs, not 4"),
    ],
)
def test_cells_refuse(changed, args, error, words):
    shapes = {"H": (1, 2, 4), "C": (1, 2, 4), "gates": (1, 2, 16)} | changed
    feeds = {name: floats(*shape) for name, shape in shapes.items()} | {"t": np.int32([0])}
    with pytest.raises(error, match=words):
        run("LSTMUnit", feeds, ("h", "c"), **{"sequence_lengths": 0, **args})


# ---- RecurrentNetwork -----------------------------------------------------------------------------------------------


def step_net():
    """s = w * s + x, and the number of the step beside it."""
    net = core.Net("cell")
    net.AddExternalInput("x_t", "s_prev", "w", "timestep")
    net.Proto().op.extend(
        [
            core.CreateOperator("Mul", ["s_prev", "w"], ["scaled"]),
            core.CreateOperator("Add", ["scaled", "x_t"], ["s"]),
        ]
    )
    net.AddExternalOutput("s")
    return net.Proto()


def arguments(**changed):
    return {
        "step_net": step_net(),
        "recurrent_states": ["states"],
        "initial_recurrent_state_ids": [1],
        "link_internal": ["s_prev", "s", "x_t"],
        "link_external": ["states", "states", "x"],
        "link_offset": [0, 1, 0],
        "alias_src": ["states", "states"],
        "alias_dst": ["all", "last"],
        "alias_offset": [1, -1],
        "timestep": "timestep",
        **changed,
    }


OUTPUTS = ("all", "last", "step_workspaces")


@pytest.mark.parametrize("initial", [(1, 2, 3), (2, 3), (3,)])
def test_recurrent_network(initial):
    space = Workspace()
    feeds = {"x": floats(4, 2, 3), "s0": floats(*initial), "w": floats(1, 2, 3)}
    net = bind(space, "RecurrentNetwork", feeds, OUTPUTS, **arguments())
    for steps in (4, 4, 1, 6):
        x = floats(steps, 2, 3)
        space.get("x").feed(x)
        net.run()
        state, states = np.broadcast_to(feeds["s0"], (1, 2, 3)), []
        for t in range(steps):
            state = feeds["w"] * state + x[t]
            states.append(state[0])
        assert space.fetch("all").tobytes() == np.stack(states).tobytes()
        assert space.fetch("last").tobytes() == states[-1][None].tobytes()


def test_a_window_shows_what_the_step_has_just_written():
    """made = 2 x, kept as a state with two zeros in front; y = the sum of the last three."""
    cell = core.Net("cell")
    cell.Scale("x_t", "made", scale=2.0)
    cell.ReduceSum("window", "y_t", axes=[0], keepdims=1)
    args = arguments(
        step_net=cell.Proto(),
        recurrent_states=["kept", "sums"],
        initial_recurrent_state_ids=[1, 2],
        link_internal=["x_t", "made", "window", "y_t"],
        link_external=["x", "kept", "kept", "sums"],
        link_offset=[0, 2, 0, 1],
        link_window=[1, 1, 3, 1],
        alias_src=["kept", "sums"],
        alias_offset=[2, 1],
    )
    x = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
    feeds = {"x": x, "s0": np.zeros((2, 2, 3), np.float32), "w": np.zeros((1, 2, 3), np.float32)}
    space = Workspace()
    bind(space, "RecurrentNetwork", feeds, OUTPUTS, **args).run()
    padded = np.concatenate([feeds["s0"], 2 * x])
    assert np.array_equal(space.fetch("all"), 2 * x)
    assert np.array_equal(space.fetch("last"), [padded[t : t + 3].sum(axis=0) for t in range(4)])


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"step_net": None}, ArgumentError, "needs the argument step_net"),
        ({"link_offset": [0, 1]}, ArgumentError, "must have one length, not 3, 3, 2"),
        ({"link_offset": [0, 2, 0]}, OperatorError, 'wants 1 steps from 5 on of "states", which has 5'),
        ({"initial_recurrent_state_ids": [7]}, ArgumentError, "there are 3 inputs"),
        ({"alias_dst": ["all", "other"]}, ArgumentError, "not of a state as an output"),
        ({"link_window": [0, 1, 1]}, ArgumentError, "a window of 0 steps"),
    ],
)
def test_recurrent_network_refuses(changed, error, words):
    args = {name: value for name, value in arguments(**changed).items() if value is not None}
    with pytest.raises(error, match=words):
        run("RecurrentNetwork", {"x": floats(4, 2, 3), "s0": floats(1, 2, 3), "w": floats(1, 2, 3)}, OUTPUTS, **args)


def test_initial_states_of_another_batch():
    feeds = {"x": floats(4, 2, 3), "s0": floats(1, 5, 3), "w": floats(1, 2, 3)}
    with pytest.raises(ShapeError, match="or the elements alone"):
        run("RecurrentNetwork", feeds, OUTPUTS, **arguments())


def test_apply_link():
    tensor = floats(5, 2, 3)
    feeds = {"t": np.int32([2]), "all": tensor}
    part, same = run("rnn_internal_apply_link", feeds, ("part", "all"), offset=1, window=2)
    assert part.tobytes() == tensor[3:5].tobytes()
    assert same.tobytes() == tensor.tobytes()
    with pytest.raises(OperatorError, match="which has 5"):
        run("rnn_internal_apply_link", feeds, ("part", "all"), offset=3)


# ---- InferenceLSTM --------------------------------------------------------------------------------------------------


def torch_order(gates):
    """i, f, g, o to i, f, o, g."""
    i, f, g, o = np.split(gates, 4, axis=-1)
    return np.concatenate([i, f, o, g], axis=-1)


@pytest.mark.parametrize("batch_first", [0, 1])
@pytest.mark.parametrize("bidirectional", [0, 1])
@pytest.mark.parametrize("has_biases", [0, 1])
def test_inference_lstm(batch_first, bidirectional, has_biases):
    layers, directions, width, d = 2, 1 + bidirectional, 5, 3
    x, h, c = floats(4, 2, width), floats(layers * directions, 2, d), floats(layers * directions, 2, d)
    feeds = {"x": x.transpose(1, 0, 2).copy() if batch_first else x, "h": h, "c": c}
    seen, last_h, last_c = x, [], []
    for layer in range(layers):
        made = []
        for direction in range(directions):
            cell, inner = layer * directions + direction, seen.shape[2]
            weights = [floats(4 * d, inner), floats(4 * d, d)] + [floats(4 * d) for _ in range(2 * has_biases)]
            feeds |= {f"w{cell}.{i}": w for i, w in enumerate(weights)}
            bias = sum(weights[2:], np.zeros(4 * d))
            state, outs = (h[cell], c[cell]), []
            for step in seen[::-1] if direction else seen:
                gates = step @ weights[0].T + state[0] @ weights[1].T + bias
                state = want.lstm_cell(*state, torch_order(gates))
                outs.append(state[0])
            made.append(np.stack(outs[::-1] if direction else outs))
            last_h.append(state[0])
            last_c.append(state[1])
        seen = np.concatenate(made, axis=2)
    args = {"num_layers": layers, "batch_first": batch_first, "bidirectional": bidirectional, "has_biases": has_biases}
    y, h_out, c_out = run("InferenceLSTM", feeds, ("Y", "h_out", "c_out"), **args)
    np.testing.assert_allclose(y.transpose(1, 0, 2) if batch_first else y, seen, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(h_out, np.stack(last_h), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(c_out, np.stack(last_c), rtol=1e-4, atol=1e-5)


def test_inference_lstm_refuses():
    feeds = {"x": floats(4, 2, 5), "h": floats(1, 2, 3), "c": floats(1, 2, 3), "wi": floats(12, 5), "wh": floats(12, 3)}
    with pytest.raises(ArgumentError, match="take 7 inputs, not 5"):
        run("InferenceLSTM", feeds, ("Y", "h_out", "c_out"))
    with pytest.raises(ShapeError, match=r"expected \(12, 5\)"):
        run("InferenceLSTM", feeds | {"wi": floats(12, 4)}, ("Y", "h_out", "c_out"), has_biases=0)


def test_states_of_fewer_bits():
    """As the real Caffe2 has them: they end at 2^5 - 1, and so, as signed numbers, does the forget bias."""
    tensors = {
        "h": [[[27, 20, 16], [8, 9, 1]]],
        "c": [[[2, 0, 5], [26, 20, 29]]],
        "g": [[[16, 19, 31, 23, 20, 17, 17, 29, 8, 26, 21, 0], [12, 27, 17, 1, 24, 23, 27, 5, 2, 27, 0, 17]]],
    }
    feeds = {name: Int8(np.uint8(q), np.float32(0.1), 10) for name, q in tensors.items()}
    feeds |= {"lengths": np.int32([9, 2]), "time": np.int32([3])}
    out = {"Y_scale": 0.05, "Y_zero_point": 16, "Y2_scale": 0.05, "Y2_zero_point": 16}
    h, c = run("Int8LSTMUnit", feeds, ("H", "C"), engine="DNNLOWP", forget_bias=6.5, activation_precision=5, **out)
    np.testing.assert_array_equal(h.data, [[[13, 16, 15], [12, 14, 0]]])
    np.testing.assert_array_equal(c.data, [[[11, 15, 0], [31, 31, 31]]])
