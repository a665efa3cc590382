"""Int8 layers of a planned net that run Quantize before them, and Sum or Dequantize behind them: the same bytes."""

from __future__ import annotations

import contextlib

import cases
import numpy as np
import pytest

import serverquant
from serverquant import core
from serverquant._base import _isa, _threads
from serverquant._base.errors import ShapeError
from serverquant.blobs.store import Int8
from serverquant.proto.wire import read_net
from serverquant.runtime.nets.planned import PlannedNet
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(11)
op = core.CreateOperator
ENGINES = ("DNNLOWP", "")


def int8(*shape, scale=0.05, zero_point=120):
    return Int8(RNG.integers(0, 256, shape, np.uint8), np.float32(scale), zero_point)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def bias(n, scale=0.0005):
    return Int8(RNG.integers(-3000, 3000, n, np.int32), np.float32(scale), 0)


def params(scale=0.1, zero_point=90):
    return {"Y_scale": scale, "Y_zero_point": zero_point}


def conv(engine="DNNLOWP", x="X", out="C", kernel=3, op_type="Int8Conv", **args):
    args = {"kernel": kernel, "pad": kernel // 2, "order": "NHWC", **params(0.4), **args}
    return op(op_type, [x, "w", "b"], [out], engine=engine, **args)


def conv_feeds(m=10, c=6, size=(2, 7, 5), kernel=3, group=1):
    x = int8(size[0], *size[1:], c)
    return {"X": x, "w": int8(m, kernel, kernel, c // group, scale=0.01), "b": bias(m)}


def feed(space, feeds):
    for name, value in feeds.items():
        blob = space.create(name)
        if isinstance(value, Int8):
            blob.feed_int8(*value)
        else:
            blob.feed(value)


def make(kind, ops, feeds, results):
    net = core.Net("net")
    net.AddExternalInput(*feeds)
    net.Proto().op.extend(ops)
    net.Proto().external_output.extend(results)
    space = Workspace()
    feed(space, feeds)
    return kind(read_net(net), space), space


def bytes_of(space, results):
    found = {}
    for name in results:
        value = space.fetch(name)
        found[name] = (
            (value.data.tobytes(), value.data.shape, value.scale, value.zero_point)
            if isinstance(value, Int8)
            else (value.tobytes(), value.shape)
        )
    return found


def simple(file, space):
    return space.bind(file)


def check(ops, feeds, results, types, again=()):
    """The planned net has operators of these types and gives what the simple one gives, also with these other feeds."""
    (want, want_space), (got, got_space) = make(simple, ops, feeds, results), make(PlannedNet, ops, feeds, results)
    assert [o.type for o in got.operators] == types
    for change in ({}, {}, *again):
        for net, space in ((want, want_space), (got, got_space)):
            feed(space, change)
            net.run()
        assert bytes_of(got_space, results) == bytes_of(want_space, results)
    return got


@contextlib.contextmanager
def machine(isa, threads):
    before, team = _isa.set_level(isa), _threads.get_num_threads()
    _threads.force_teams(True)
    _threads.set_num_threads(threads)
    try:
        yield
    finally:
        _isa.set_level(before)
        _threads.set_num_threads(team)
        _threads.force_teams(False)


MACHINES = [(isa, threads) for isa in _isa.supported() for threads in (1, 2, 3, 7)]


@pytest.fixture(params=MACHINES, ids=lambda m: f"{m[0]}-{m[1]}")
def anywhere(request):
    with machine(*request.param):
        yield


# ---- sums behind layers --------------------------------------------------------------------------------------------

SHAPES = {
    "plain": {"kernel": 1, "m": 70, "c": 32, "size": (2, 9, 7)},
    "many panels": {"kernel": 1, "m": 300, "c": 8, "size": (1, 3, 3)},
    "window": {"kernel": 3, "m": 10, "c": 6, "size": (2, 7, 5)},
    "depthwise": {"kernel": 3, "m": 40, "c": 40, "group": 40, "size": (2, 6, 5)},
    "depthwise of few channels": {"kernel": 3, "m": 3, "c": 3, "group": 3, "size": (2, 30, 31)},
    "groups": {"kernel": 3, "m": 12, "c": 8, "group": 4, "size": (1, 6, 5)},
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sum_behind_a_convolution(anywhere, engine, shape):
    size = SHAPES[shape]
    feeds = conv_feeds(**size) | {"R": int8(*size["size"], size["m"], scale=0.07, zero_point=33)}
    layer = conv(engine, kernel=size["kernel"], group=size.get("group", 1))
    ops = [layer, op("Int8SumRelu", ["C", "R"], ["Y"], engine=engine, **params(0.3, 60))]
    check(ops, feeds, ["Y"], ["Int8Conv"])


SUMS = [
    ("Sum", "DNNLOWP"),
    ("SumRelu", "DNNLOWP"),
    ("Add", "DNNLOWP"),
    ("Sum", ""),
    ("SumRelu", ""),
    ("Add", ""),
    ("AddRelu", ""),
]


@pytest.mark.parametrize(("kind", "engine"), SUMS)
@pytest.mark.parametrize("order", [["C", "R"], ["R", "C"]])
@pytest.mark.parametrize("out", ["Y", "R", "C", "X"])
def test_kinds_and_orders_and_names(kind, engine, order, out):
    """Also in place of the residual, and with the name of what the layer reads. Blobs of other names in between are
    copies, so that they are inner ones."""
    feeds = conv_feeds()
    ops = [
        op("Copy", ["X0"], ["X"]),
        op("Copy", ["R0"], ["R"]),
        conv(engine),
        op(f"Int8{kind}", order, [out], engine=engine, **params(0.3, 60)),
        op("Copy", [out], ["end"]),
    ]
    feeds = {"X0": feeds.pop("X"), "R0": int8(2, 7, 5, 10), **feeds}
    if out == "R" and order[0] != "R":
        ops[3] = op(f"Int8{kind}", ["R", "C"], [out], engine=engine, **params(0.3, 60))  # what the schemas allow
    elif out == "C" and order[0] != "C":
        ops[3] = op(f"Int8{kind}", ["C", "R"], [out], engine=engine, **params(0.3, 60))
    check(ops, feeds, ["end"], ["Copy", "Copy", "Int8Conv", "Copy"])


def test_new_batches_scales_and_weights_need_no_new_plan():
    feeds = conv_feeds() | {"R": int8(2, 7, 5, 10)}
    ops = [conv(), op("Int8Sum", ["C", "R"], ["Y"], engine="DNNLOWP", **params())]
    again = [
        {
            "X": int8(n, 7, 5, 6, scale=scale),
            "b": bias(10, scale / 100),
            "R": int8(n, 7, 5, 10, scale=scale, zero_point=n),
        }
        for n, scale in ((3, 0.05), (1, 0.02), (0, 0.05), (2, 0.05))
    ]
    net = check(ops, feeds, ["Y"], ["Int8Conv"], [*again, {"w": int8(10, 3, 3, 6, scale=0.01), "b": bias(10)}])
    (plan,) = net.last_plans
    assert plan.steps_python[0][0].facts["then"] == "add_u8_fast"


@pytest.mark.parametrize("output", [params(0.4), {}], ids=["fixed", "dynamic"])
def test_no_bias(output):
    """The residual, which is input 2 then, is not taken for one."""
    feeds = {"X": int8(2, 7, 5, 6), "w": floats(10, 3, 3, 6), "R": int8(2, 7, 5, 10)}
    layer = op("Int8Conv", ["X", "w"], ["C"], engine="DNNLOWP", kernel=3, pad=1, order="NHWC", **output)
    check([layer, op("Int8Sum", ["C", "R"], ["Y"], engine="DNNLOWP", **params())], feeds, ["Y"], ["Int8Conv"])


def test_a_float_residual(anywhere):
    """The slow sum, through intermediate parameters."""
    feeds = conv_feeds() | {"R": floats(2, 7, 5, 10)}
    ops = [conv(), op("Int8Sum", ["R", "C"], ["Y"], engine="DNNLOWP", **params())]
    check(ops, feeds, ["Y"], ["Int8Conv"], [{"R": floats(2, 7, 5, 10) * 9}])


def test_sums_that_saturate_as_in_caffe2(anywhere):
    """Float weights of a depthwise convolution, see pairs.h."""
    feeds = {"X": int8(2, 7, 6, 16), "w": floats(16, 3, 3, 1), "b": floats(16), "R": int8(2, 7, 6, 16)}
    ops = [conv(group=16), op("Int8Sum", ["C", "R"], ["Y"], engine="DNNLOWP", **params())]
    check(ops, feeds, ["Y"], ["Int8Conv"])


def test_dynamic_layer_and_chosen_parameters():
    """The layer's parameters may be those of this run's range; the sum's may not."""
    feeds = {"X": int8(2, 7, 5, 6), "w": floats(10, 3, 3, 6), "b": floats(10), "R": int8(2, 7, 5, 10)}
    layer = op("Int8Conv", ["X", "w", "b"], ["C"], engine="DNNLOWP", kernel=3, pad=1, order="NHWC")
    fixed, chosen = (op("Int8Sum", ["C", "R"], ["Y"], engine="DNNLOWP", **args) for args in (params(), {}))
    check([layer, fixed], feeds, ["Y"], ["Int8Conv"], [{"X": int8(2, 7, 5, 6, scale=0.3)}])
    check([layer, chosen], feeds, ["Y"], ["Int8Conv", "Int8Sum"])


@pytest.mark.parametrize("engine", ENGINES)
def test_layers_without_windows(anywhere, engine):
    feeds = {"X": int8(5, 19), "w": int8(71, 19, scale=0.01), "b": bias(71), "R": int8(5, 71)}
    layer = op("Int8FC", ["X", "w", "b"], ["C"], engine=engine, **params(0.4))
    check([layer, op("Int8Sum", ["C", "R"], ["Y"], engine=engine, **params())], feeds, ["Y"], ["Int8FC"])


# ---- Dequantize behind layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rows", [1, 5, 60])
def test_dequantize_behind_fc(anywhere, engine, rows):
    feeds = {"X": int8(rows, 19), "w": int8(71, 19, scale=0.01), "b": bias(71)}
    layer = op("Int8FC", ["X", "w", "b"], ["C"], engine=engine, **params(0.4))
    ops = [layer, op("Int8Dequantize", ["C"], ["Y"], engine=engine)]
    check(ops, feeds, ["Y"], ["Int8FC"], [{"X": int8(n, 19)} for n in (3, 0, rows)])


@pytest.mark.parametrize("engine", ENGINES)
def test_dequantize_behind_a_convolution(anywhere, engine):
    ops = [conv(engine), op("Int8Dequantize", ["C"], ["Y"], engine=engine)]
    check(ops, conv_feeds(), ["Y"], ["Int8Conv"])


def test_fc_keeps_its_first_parameters():
    """Caffe2's defect stays what it is."""
    feeds = {"X": floats(4, 9), "w": floats(8, 9), "b": floats(8)}
    layer = op("Int8FC", ["X", "w", "b"], ["C"], engine="DNNLOWP")
    ops = [layer, op("Int8Dequantize", ["C"], ["Y"], engine="DNNLOWP")]
    check(ops, feeds, ["Y"], ["Int8FC"], [{"X": floats(4, 9) * 5}])


# ---- Quantize before layers ----------------------------------------------------------------------------------------


def head(engine, turned, x="data", **args):
    quantize = op("Int8Quantize", ["turned" if turned else x], ["X"], engine=engine, **{**params(0.05, 114), **args})
    return [op("NCHW2NHWC", [x], ["turned"]), quantize] if turned else [quantize]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("channels", [3, 5, 300])
def test_quantize_before_a_convolution(anywhere, engine, turned, channels):
    sizes = [(2, channels, 17, 13), (1, channels, 17, 13)]
    data = [floats(*size) * 3 for size in sizes]
    data[0].ravel()[:3] = np.nan, np.inf, -np.inf
    data = data if turned else [np.ascontiguousarray(np.moveaxis(x, 1, -1)) for x in data]
    feeds = {"data": data[0], "w": int8(4, 3, 3, channels, scale=0.01), "b": bias(4)}
    ops = [*head(engine, turned), conv(engine)]
    net = check(ops, feeds, ["C"], ["Int8Conv"], [{"data": data[1]}])
    assert net.last_plans[0].steps_python[0][0].facts["from"]


def test_more_channels_than_a_block_has_room_for():
    data = floats(1, 20_000, 1, 2)
    feeds = {"data": data, "w": int8(2, 1, 1, 20_000, scale=0.01), "b": bias(2)}
    check([*head("DNNLOWP", True), conv(kernel=1, Y_scale=4.0)], feeds, ["C"], ["Int8Conv"])


def test_a_chain_of_everything(anywhere):
    feeds = conv_feeds(c=3) | {"data": floats(2, 3, 7, 5), "R": int8(2, 7, 5, 10)}
    del feeds["X"]
    ops = [*head("DNNLOWP", True), conv(), op("Int8Sum", ["R", "C"], ["Y"], engine="DNNLOWP", **params())]
    check(ops, feeds, ["Y"], ["Int8Conv"])


@pytest.mark.parametrize("bits", [8, 6])
def test_quantize_behind_nchw2nhwc_alone(anywhere, bits):
    ops = [*head("DNNLOWP", True, activation_precision=bits), op("Copy", ["X"], ["Y"])]
    check(ops, {"data": floats(2, 3, 50, 70)}, ["Y"], ["Int8Quantize", "Copy"], [{"data": floats(1, 3, 50, 70)}])


@pytest.mark.parametrize("turned", [False, True])
def test_bytes_pass_quantize(turned):
    feeds = conv_feeds(c=3, size=(2, 5, 5))
    feeds["data"] = int8(2, 3, 5, 5) if turned else feeds["X"]
    del feeds["X"]
    check([*head("DNNLOWP", turned), conv()], feeds, ["C"], ["Int8Conv"])


# ---- what stays as it is -------------------------------------------------------------------------------------------

SUM = op("Int8Sum", ["C", "R"], ["Y"], engine="DNNLOWP", **params())


@pytest.mark.parametrize(
    ("ops", "results"),
    [
        ([conv(), SUM], ["C", "Y"]),
        ([conv(), SUM, op("Copy", ["C"], ["E"])], ["E", "Y"]),
        ([conv(), op("Int8Sum", ["C", "C"], ["Y"], engine="DNNLOWP", **params())], ["Y"]),
        ([conv(), op("Int8Sum", ["C", "R", "R"], ["Y"], engine="DNNLOWP", **params())], ["Y"]),
        ([conv(), op("Int8Add", ["C", "R"], ["Y"], engine="DNNLOWP", broadcast=1, **params())], ["Y"]),
        ([conv(), op("Int8Sum", ["C", "R"], ["Y"], engine="DNNLOWP", dequantize_output=1, **params())], ["Y"]),
        ([conv(), op("Int8Sum", ["C", "R"], ["Y"], engine="DNNLOWP", activation_precision=7, **params())], ["Y"]),
        ([conv(), op("Int8Sum", ["R", "C"], ["R"], engine="DNNLOWP", **params())], ["R"]),
        ([conv(), op("Int8Relu", ["C"], ["Y"], engine="DNNLOWP")], ["Y"]),
        ([*head("DNNLOWP", False), conv()], ["X", "C"]),
        (
            [
                op("Int8Quantize", ["data"], ["X"], engine="DNNLOWP"),
                op("Int8Conv", ["X", "f"], ["C"], engine="DNNLOWP", kernel=3, order="NHWC", **params()),
            ],
            ["C"],
        ),
        ([op("NCHW2NHWC", ["data"], ["R"]), op("Copy", ["R"], ["Y"])], ["Y"]),
    ],
)
def test_not_joined(ops, results):
    feeds = conv_feeds() | {"R": int8(2, 7, 5, 10), "data": floats(2, 7, 5, 6), "f": floats(3, 3, 3, 6)}
    if any("X" in o.output for o in ops):
        del feeds["X"]
    check(ops, feeds, results, [o.type for o in ops])


def test_channels_first_is_not_joined():
    feeds = {"data": floats(2, 6, 7, 5), "w": int8(10, 6, 3, 3, scale=0.01), "b": bias(10), "R": int8(2, 10, 7, 5)}
    ops = [*head("DNNLOWP", False), conv(order="NCHW"), SUM]
    check(ops, feeds, ["Y"], ["Int8Quantize", "Int8Conv", "Int8Sum"])


def test_weights_that_are_quantized_are_no_head():
    feeds = conv_feeds()
    feeds["data"] = floats(10, 3, 3, 6)
    del feeds["w"]
    quantize = op("Int8Quantize", ["data"], ["w"], engine="DNNLOWP", **params(0.01, 128))
    check([quantize, conv()], feeds, ["C"], ["Int8Quantize", "Int8Conv"])


def test_an_output_in_the_blob_that_a_layer_reads():
    """Float layers too: a convolution never works in place."""
    ops = [conv(), op("Int8Sum", ["C", "R"], ["X"], engine="DNNLOWP", **params())]
    feeds = conv_feeds(m=6) | {"R": int8(2, 7, 5, 6), "b": bias(6, 0.001)}
    feeds["X"] = feeds["X"]._replace(scale=np.float32(0.1))  # the sum's, so that the second run takes the bias too
    check(ops, feeds, ["X"], ["Int8Conv", "Int8Sum"])
    ops = [op("Conv", ["X", "w", "b"], ["C"], kernel=3, pad=1), op("Relu", ["C"], ["X"])]
    check(ops, {"X": floats(1, 2, 5, 5), "w": floats(2, 2, 3, 3), "b": floats(2)}, ["X"], ["Conv", "Relu"])


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["Sum", "Add"])
def test_shapes_that_do_not_fit(engine, kind):
    """The same error as without the chain, and the net is usable afterwards."""
    feeds = conv_feeds() | {"R": int8(2, 7, 4, 10)}
    ops = [conv(engine), op(f"Int8{kind}", ["C", "R"], ["Y"], engine=engine, **params(0.3))]
    errors = []
    for make_net in (simple, PlannedNet):
        net, space = make(make_net, ops, feeds, ["Y"])
        with pytest.raises(ShapeError) as found:
            net.run()
        errors.append(str(found.value).replace(net.name, "net"))
        feed(space, {"R": int8(2, 7, 5, 10)})
        net.run()
    assert errors[0] == errors[1]
    assert f"Int8{kind} (op 1 of net" in errors[1]


def test_scales_too_far_apart():
    feeds = conv_feeds() | {"R": int8(2, 7, 5, 10, scale=1e6)}
    ops = [conv(""), op("Int8Sum", ["C", "R"], ["Y"], **params(0.3))]
    net, space = make(PlannedNet, ops, feeds, ["Y"])
    with pytest.raises(RuntimeError, match=r"over Y_scale 0.3 must lie in"):
        net.run()
    feed(space, {"R": int8(2, 7, 5, 10)})
    net.run()


def test_a_quantize_that_cannot_take_its_input():
    feeds = conv_feeds()
    feeds["data"] = Int8(np.ones((2, 7, 5, 6), np.int32), np.float32(1), 0)
    del feeds["X"]
    net, _ = make(PlannedNet, [*head("DNNLOWP", False), conv()], feeds, ["C"])
    with pytest.raises(TypeError, match="Int8Quantize"):
        net.run()


def test_a_bias_that_does_not_fit_is_the_layers_error():
    feeds = conv_feeds() | {"R": int8(2, 7, 5, 10), "b": bias(10, scale=3)}
    net, _ = make(PlannedNet, [conv(), SUM], feeds, ["Y"])
    with pytest.raises(RuntimeError, match=r"Int8Conv.*the bias has scale 3"):
        net.run()


# ---- whole nets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["fixed", "float", "packed", "plain"])
@pytest.mark.parametrize("name", ["resnet_eighth", "mobilenet_v2_quarter"])
def test_nets(name, form):
    """All sums go into convolutions; so do what quantizes the image and what turns the answer into floats."""
    case = cases.case(f"{name}_int8_{form}")
    inside = {"Int8Sum", "Int8SumRelu", "NCHW2NHWC", "Int8Quantize", "Int8Dequantize"}
    with (
        serverquant.load(case.init_path(), case.predict_path) as planned,
        serverquant.load(case.init_path(), case.predict_path, keep_blobs=True) as kept,
    ):
        got, want = planned(case.inputs()), kept(case.inputs())
        types = [o.type for o in kept.net.operators]
        assert [o.type for o in planned.net.operators] == [t for t in types if t not in inside]
        assert {t for t in types if t in inside} >= inside - {"Int8Sum", "Int8SumRelu"}
        assert {name: value.tobytes() for name, value in got.items()} == {n: v.tobytes() for n, v in want.items()}
