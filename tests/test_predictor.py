"""Predictor: weights shared, a context a thread, nothing of one call in another."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import serverquant
from serverquant import core, proto, workspace
from serverquant._base.errors import ArgumentError, MissingBlobError, NetError, ParseError
from serverquant.proto.io import load_net, save

NETS = Path(__file__).resolve().parents[1] / "nets"
INT8 = [NETS / "digits24_int8_fixed" / f for f in ("init_net.pb", "predict_net.pb")]
IMAGES = np.load(NETS / "digits24" / "inputs.npz")["data"][:8]


@pytest.fixture
def predict():
    with serverquant.load(*INT8) as loaded:
        yield loaded


def test_three_ways_to_call(predict):
    want = predict(IMAGES)
    assert list(want) == ["prob", "logits"]
    for got in (predict(data=IMAGES), predict({"data": IMAGES}), predict.run(IMAGES)):
        np.testing.assert_array_equal(got["prob"], want["prob"])


def test_it_says_what_it_is(predict):
    assert predict.inputs == ["data"]
    assert predict.outputs == ["prob", "logits"]
    text = repr(predict)
    for word in ("digits24_predict_int8", "19 operators", "data -> prob", "22 parameters", "MB"):
        assert word in text


def test_inner_blobs_and_int8_values():
    with serverquant.load(*INT8, keep_blobs=True) as predict:
        predict(IMAGES)
        inner = predict.fetch("out_int8")
        assert isinstance(inner, serverquant.Int8)
        assert inner.data.dtype == np.uint8
        with pytest.raises(MissingBlobError, match="out_int8"):
            predict.fetch("out_int")


def test_inner_blobs_are_gone_unless_they_are_kept(predict):
    predict(IMAGES)
    with pytest.raises(MissingBlobError, match=r'"out_int8" is empty: it is inner memory .*keep_blobs=True'):
        predict.fetch("out_int8")


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "needs input data"),
        ((IMAGES, IMAGES), {}, "takes 1 inputs"),
        ((), {"dat": IMAGES}, "did you mean data"),
    ],
)
def test_wrong_calls(predict, args, kwargs, said):
    with pytest.raises(ArgumentError, match=said):
        predict(*args, **kwargs)


def test_threads_share_weights_and_nothing_else(predict):
    want = [predict(IMAGES[i : i + 1])["logits"] for i in range(len(IMAGES))]
    wrong, barrier = [], threading.Barrier(4)

    def work(first: int) -> None:
        barrier.wait()
        for turn in range(30):
            i = (first + turn) % len(IMAGES)
            got = predict(IMAGES[i : i + 1])["logits"]
            if not np.array_equal(got, want[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def written_net(tmp_path: Path) -> list[Path]:
    """A net that changes a weight in place: w = relu(w), y = w + x."""
    init = core.Net("init")
    init.GivenTensorFill([], "w", shape=[2], values=[-1.0, 1.0])
    net = core.Net("writes")
    net.AddExternalInput("x", "w")
    net.Relu("w", "w")
    net.Add(["w", "x"], "y")
    net.AddExternalOutput("y")
    save(init.Proto(), tmp_path / "i.pb")
    save(net.Proto(), tmp_path / "p.pb")
    return [tmp_path / "i.pb", tmp_path / "p.pb"]


def test_a_net_never_writes_the_shared_weights(tmp_path):
    with serverquant.load(*written_net(tmp_path)) as predict:
        for _ in range(2):
            np.testing.assert_array_equal(predict(np.float32([1, 1]))["y"], [1, 2])
        results = []
        thread = threading.Thread(target=lambda: results.append(predict._weights.fetch("w")))
        thread.start()
        thread.join()
        np.testing.assert_array_equal(results[0], [-1, 1])


def test_batches_may_change(predict):
    whole = predict(IMAGES)["logits"]
    for n in (1, 3, 8, 2):
        np.testing.assert_array_equal(predict(IMAGES[:n])["logits"], whole[:n])


def test_a_failed_call_leaves_it_usable(predict):
    want = predict(IMAGES)["logits"]
    with pytest.raises(serverquant.ServerquantError):
        predict(IMAGES[0])
    np.testing.assert_array_equal(predict(IMAGES)["logits"], want)


def test_closed(predict):
    predict.close()
    assert "closed" in repr(predict)
    with pytest.raises(NetError, match="closed"):
        predict(IMAGES)


def test_one_meta_net(tmp_path):
    meta = proto.MetaNetDef()
    for key, path in zip(("PREDICT_INIT_NET_TYPE", "PREDICT_NET_TYPE"), INT8):
        meta.nets.add(key=key).value.CopyFrom(load_net(path))
    save(meta, tmp_path / "meta.pb")
    with serverquant.load(tmp_path / "meta.pb") as whole, serverquant.load(*INT8) as parts:
        np.testing.assert_array_equal(whole(IMAGES)["prob"], parts(IMAGES)["prob"])
    with pytest.raises(ParseError):
        serverquant.load(INT8[1])


def test_loading_leaves_the_workspace_alone():
    workspace.ResetWorkspace()
    with serverquant.load(*INT8) as predict:
        predict(IMAGES)
    assert workspace.Blobs() == []


def test_empty_and_missing():
    with pytest.raises(NetError, match="no operators"):
        serverquant.load(None, proto.NetDef(name="nothing"))
    with pytest.raises(FileNotFoundError):
        serverquant.load("nowhere.pb", "nowhere.pb")


def test_an_input_that_nothing_reads_need_not_be_given():
    net = proto.NetDef(name="net", external_input=["x", "queue"], external_output=["y"])
    net.op.extend([core.CreateOperator("Relu", ["x"], ["y"])])
    with serverquant.load(None, net) as predict:
        assert predict.inputs == ["x"]
        x = np.float32([-1, 2])
        for feeds in ({"x": x}, {"x": x, "queue": x}):
            np.testing.assert_array_equal(predict(feeds)["y"], [0, 2])
        with pytest.raises(ArgumentError, match='has no input "que"'):
            predict({"x": x, "que": x})
