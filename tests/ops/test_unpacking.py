"""Weights of layers back from their packed form, bit for bit, and Predictors that keep that form alone."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest

import serverquant
from serverquant import core
from serverquant._base.errors import MissingBlobError
from serverquant.proto import NetDef
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace

CONVS = [  # group, weights of a group, channels of a group, kernel
    (1, 16, 8, (3, 3)),
    (1, 5, 3, (7, 7)),
    (1, 33, 40, (1, 1)),
    (3, 4, 5, (3, 2)),
    (8, 1, 1, (3, 3)),
    (20, 1, 1, (5, 5)),
    (1, 70, 20, (2,)),
    (1, 4, 3, (2, 3, 2)),
]


def slim_run(net, feeds):
    """Run a net whose blob "w" drops what can be got back; (its values before, the blob)."""
    space = Workspace()
    for name, value in feeds.items():
        space.create(name).feed(value)
    before = space.get("w").fetch()
    made = space.bind(read_net(net))
    made.run()
    want = space.fetch("y")
    space.get("w").slim = True
    space.create("x").feed(feeds["x"])
    space.get("w").feed(feeds["w"])
    for _ in range(2):
        made.run()
        got = space.fetch("y")
        assert str(got) == str(want)
    return before, space.get("w")


def operator(type_, inputs, **args):
    net = NetDef(name="n", external_input=inputs, external_output=["y"])
    net.op.append(core.CreateOperator(type_, inputs, ["y"], **args))
    return net


def strange_floats(shape):
    """Random floats with a few that arithmetic would change: -0, NaN with a payload, infinity, a denormal."""
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    bits = values.reshape(-1).view(np.uint32)
    bits[:4] = 0x80000000, 0x7FC12345, 0xFF800000, 0x00000001
    return values


@pytest.mark.parametrize(("conv", "order"), list(itertools.product(CONVS, ["NCHW", "NHWC"])))
def test_float_convolutions(conv, order):
    group, outputs, channels, kernel = conv
    nhwc = order == "NHWC"
    weight = strange_floats((group * outputs, *kernel, channels) if nhwc else (group * outputs, channels, *kernel))
    sizes = [k + 2 for k in kernel]
    x = np.ones((2, *sizes, group * channels) if nhwc else (2, group * channels, *sizes), np.float32)
    net = operator("Conv", ["x", "w"], kernels=list(kernel), group=group, order=order)
    before, blob = slim_run(net, {"x": x, "w": weight})
    assert blob.is_dropped
    assert blob.fetch().tobytes() == before.tobytes()
    assert blob.view().tobytes() == before.tobytes()


@pytest.mark.parametrize("type_", ["FC", "FCTransposed"])
def test_float_layers(type_):
    n, k = (37, 19) if type_ == "FC" else (19, 37)
    feeds = {"x": np.ones((2, k), np.float32), "w": strange_floats((37, 19)), "b": np.zeros(n, np.float32)}
    before, blob = slim_run(operator(type_, ["x", "w", "b"]), feeds)
    assert blob.is_dropped
    assert blob.fetch().tobytes() == before.tobytes()


def int8(shape, dtype=np.uint8, scale=0.02, zero_point=0, seed=1):
    info = np.iinfo(dtype)
    low, high = (info.min, info.max + 1) if dtype == np.uint8 else (-50, 50)
    values = np.random.default_rng(seed).integers(low, high, shape).astype(dtype)
    return serverquant.Int8(values, scale, zero_point)


@pytest.mark.parametrize(
    ("conv", "order", "engine", "zero_point"),
    [
        (conv, order, engine, zero_point)
        for conv, order in itertools.product(CONVS, ["NCHW", "NHWC"])
        for engine, zero_point in (("DNNLOWP", 128), ("DNNLOWP", 3), ("", 77))
        if engine or order == "NHWC"
    ],
)
def test_int8_convolutions(conv, order, engine, zero_point):
    group, outputs, channels, kernel = conv
    nhwc = order == "NHWC"
    m = group * outputs
    weight = int8((m, *kernel, channels) if nhwc else (m, channels, *kernel), zero_point=zero_point)
    sizes = [k + 1 for k in kernel]
    x = int8((2, *sizes, group * channels) if nhwc else (2, group * channels, *sizes), seed=2)
    feeds = {"x": x, "w": weight, "b": int8((m,), np.int32, 0.0004)}
    args = {"kernels": list(kernel), "group": group, "order": order, "Y_scale": 5.0, "Y_zero_point": 9}
    before, blob = slim_run(operator("Int8Conv", ["x", "w", "b"], engine=engine, **args), feeds)
    assert blob.is_dropped
    assert blob.fetch().tobytes() == before.tobytes() == weight.data.tobytes()


@pytest.mark.parametrize("engine", ["", "DNNLOWP"])
def test_int8_layers(engine):
    weight = int8((45, 300), zero_point=130)
    feeds = {"x": int8((3, 300), seed=2), "w": weight, "b": int8((45,), np.int32, 0.0004)}
    net = operator("Int8FC", ["x", "w", "b"], engine=engine, Y_scale=5.0, Y_zero_point=9)
    before, blob = slim_run(net, feeds)
    assert blob.is_dropped
    assert blob.fetch().tobytes() == before.tobytes()


def test_quantized_float_weights_stay():
    feeds = {"x": int8((3, 30)), "w": np.linspace(-1, 1, 210, dtype=np.float32).reshape(7, 30)}
    net = operator("Int8FC", ["x", "w", "b"], engine="DNNLOWP", Y_scale=5.0, Y_zero_point=9)
    before, blob = slim_run(net, {**feeds, "b": np.zeros(7, np.float32)})
    assert not blob.is_dropped
    assert blob.fetch().tobytes() == before.tobytes()


@pytest.mark.parametrize("name", ["digits24", "digits24_int8_fixed"])
@pytest.mark.parametrize("keep_blobs", [False, True])
def test_predictors_that_keep_packed_weights_alone(name, keep_blobs):
    case = cases.case(name)
    paths, inputs = (case.init_path(), case.predict_path), case.inputs()
    with serverquant.load(*paths) as whole, serverquant.load(*paths, keep_weights=False, keep_blobs=keep_blobs) as slim:
        for rows in (None, 3, 1):
            some = {name: value[:rows] for name, value in inputs.items()}
            for output, value in whole(some).items():
                assert value.tobytes() == slim(some)[output].tobytes()
        dropped = [n for n in slim.parameters if slim._weights.get(n).is_dropped]
        assert dropped
        for weight in slim.parameters:
            one, other = whole.fetch(weight), slim.fetch(weight)
            assert str(one) == str(other)
            assert np.asarray(one.data).tobytes() == np.asarray(other.data).tobytes()


def test_weights_that_a_net_does_not_read_are_given_up():
    init, net = core.Net("init"), core.Net("reads")
    init.GivenTensorFill([], "w", shape=[2], values=[1.0, 2.0])
    init.GivenTensorFill([], "unread", shape=[2], values=[1.0, 2.0])
    net.AddExternalInput("x", "w")
    net.Add(["x", "w"], "y")
    net.AddExternalOutput("y")
    with serverquant.load(init.Proto(), net.Proto(), keep_weights=False) as predict:
        assert predict(np.float32([1, 1]))["y"].tolist() == [2, 3]
        assert predict.fetch("w").tolist() == [1, 2]
        with pytest.raises(MissingBlobError, match='"unread" is empty: the net does not read it'):
            predict.fetch("unread")
