"""Cells, run by RecurrentNetwork and unrolled."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import workspace
from serverquant.compat.caffe2.python import gru_cell, model_helper, rnn_cell
from serverquant.compat.caffe2.python.attention import AttentionType

STEPS, BATCH, SIZE = 3, 2, 4


@pytest.fixture(autouse=True)
def blobs():
    workspace.ResetWorkspace()
    rng = np.random.default_rng(0)
    workspace.FeedBlob("x", rng.standard_normal((STEPS, BATCH, SIZE)).astype(np.float32))
    workspace.FeedBlob("len", np.array([3, 1], np.int32))
    workspace.FeedBlob("enc", rng.standard_normal((5, BATCH, SIZE)).astype(np.float32))
    for name in ("h0", "c0", "a0"):
        workspace.FeedBlob(name, rng.standard_normal((1, BATCH, SIZE)).astype(np.float32))
    yield
    workspace.ResetWorkspace()


def run(model, outputs):
    workspace.RunNetOnce(model.net)
    return [workspace.FetchBlob(blob) for blob in outputs]


KINDS = [
    (rnn_cell.LSTM, ["h0", "c0"], {}),
    (rnn_cell.MILSTM, ["h0", "c0"], {}),
    (rnn_cell.LayerNormLSTM, ["h0", "c0"], {}),
    (rnn_cell.BasicRNN, ["h0"], {"activation": "tanh"}),
    (rnn_cell.BasicRNN, ["h0"], {"activation": "relu", "drop_states": True}),
    (gru_cell.GRU, ["h0"], {}),
    (gru_cell.GRU, ["h0"], {"linear_before_reset": True}),
]


@pytest.mark.parametrize(("layer", "states", "more"), KINDS)
@pytest.mark.parametrize("dims", [[SIZE], [SIZE, SIZE]])
def test_unrolled_cells_give_the_same(layer, states, more, dims):
    made = []
    for unrolled in (None, STEPS):
        model = model_helper.ModelHelper(name="m")
        given = states * len(dims)
        outputs = layer(model, "x", "len", given, SIZE, dims, "sc", static_rnn_unroll_size=unrolled, **more)
        if unrolled is None:
            workspace.RunNetOnce(model.param_init_net)
        else:
            numbers = [op for op in model.param_init_net.Proto().op if op.output[0].endswith("/timestep")]
            for op in numbers:
                workspace.RunOperatorOnce(op)
        made.append(run(model, outputs))
    assert len(made[0]) == 2 * len(states)
    assert made[0][0].any()
    for step, unrolled in zip(*made):
        assert np.isfinite(step).all()
        assert np.array_equal(step.reshape(unrolled.shape), unrolled)


def test_lstm_is_what_it_is_defined_as():
    model = model_helper.ModelHelper(name="m")
    outputs, params = rnn_cell.LSTM(model, "x", "len", None, SIZE, SIZE, "sc", forget_bias=0.5, return_params=True)
    workspace.RunNetOnce(model.param_init_net)
    assert params["recurrent"]["weights"] == "sc/gates_t_w"
    hidden = run(model, outputs)[0]
    x, lengths = workspace.FetchBlob("x"), workspace.FetchBlob("len")
    w, u = workspace.FetchBlob("sc/i2h_w"), workspace.FetchBlob("sc/gates_t_w")
    h = c = np.zeros((BATCH, SIZE), np.float64)

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    for t in range(STEPS):
        i, f, o, g = np.split(x[t] @ w.T + h @ u.T, 4, axis=1)
        new_c = sigmoid(f + 0.5) * c + sigmoid(i) * np.tanh(g)
        new_h = sigmoid(o) * np.tanh(new_c)
        valid = (t < lengths)[:, None]
        h, c = np.where(valid, new_h, h), np.where(valid, new_c, c)
        np.testing.assert_allclose(hidden[t], h, atol=1e-6)


@pytest.mark.parametrize("kind", range(4))
def test_attention_weights_add_up(kind):
    model = model_helper.ModelHelper(name="m")
    outputs = rnn_cell.LSTMWithAttention(
        model, "x", "len", "h0", "c0", "a0", SIZE, "enc", None, SIZE, SIZE, "sc", attention_type=kind
    )
    workspace.RunNetOnce(model.param_init_net)
    workspace.FeedBlob("enc", np.broadcast_to(np.arange(SIZE, dtype=np.float32), (5, BATCH, SIZE)).copy())
    context = run(model, outputs)[4]
    assert context.shape == (STEPS, BATCH, SIZE)
    np.testing.assert_allclose(context, np.broadcast_to(np.arange(SIZE), context.shape), rtol=1e-6)  # all are alike
    assert len(outputs) == (8 if kind == AttentionType.SoftCoverage else 6)


def test_predictor_net_of_renamed_blobs():
    model = model_helper.ModelHelper(name="m")
    outputs = rnn_cell.LSTM(model, "x", "len", ["h0", "c0"], SIZE, SIZE, "sc")
    workspace.RunNetOnce(model.param_init_net)
    want = run(model, outputs[:1])[0]
    net, exported = model_helper.ExtractPredictorNet(
        model.net.Proto(), ["x"], [outputs[0]], renames={outputs[0]: "y", "sc/i2h": "projected", "x": "in"}
    )
    workspace.FeedBlob("in", workspace.FetchBlob("x"))
    workspace.RunNetOnce(net)
    assert np.array_equal(workspace.FetchBlob("y"), want)
    assert "sc/gates_t_w" in exported
    assert "in" not in exported


def test_errors_of_cells():
    model = model_helper.ModelHelper(name="m")
    with pytest.raises(ValueError, match="activation"):
        rnn_cell.BasicRNN(model, "x", None, ["h0"], SIZE, SIZE)
    with pytest.raises(ValueError, match="attention type 9"):
        rnn_cell.LSTMWithAttention(
            model, "x", "len", "h0", "c0", "a0", SIZE, "enc", None, SIZE, SIZE, "sc", attention_type=9
        )
