"""Nets that `serverquant.quantize` writes, in the real Caffe2: they load, and every int8 blob has the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

import families
import numpy as np
import pytest
from peers import real_caffe2
from small_nets import NETS
from test_emit import bags
from test_granularity import uneven

import serverquant
from serverquant import core, proto
from serverquant.quantization.ptq import Settings, choose_params
from serverquant.quantization.statistics import BlobStatistics, Statistics

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def caffe2() -> Iterator[real_caffe2.Caffe2]:
    with real_caffe2.Caffe2(1) as found:
        yield found


# Which of two proposals of one score comes first is not determined in Caffe2, nor is what is made of them.
PROPOSED = {"roi", "fc1", "cls_score", "bbox_pred", "score_nms", "bbox_nms", "class_nms"}


def check(made: serverquant.Result, feeds: dict[str, np.ndarray], caffe2: real_caffe2.Caffe2) -> int:
    """Both run the net; every int8 blob is the same to the byte, its scale to the bit. How many there are."""
    written = {name for op in made.predict.op for name in op.output}
    entries = made.recipe["blobs"].items()
    found = {name: entry["int8"] for name, entry in entries if name.removesuffix("_equalized") not in PROPOSED}
    blobs = [blob for blob in found.values() if blob in written]
    with serverquant.load(made.init, made.predict, keep_blobs=True) as ours:
        ours(feeds)
        caffe2.reset()
        caffe2.init(made.init.SerializeToString())
        caffe2.feed(feeds)
        caffe2.create(made.predict.SerializeToString())
        caffe2.run(1)
        theirs = caffe2.fetch([*blobs, *made.predict.external_output])
        for blob in blobs:
            data, scale, zero_point = theirs[blob]
            got = ours.fetch(blob)
            assert (np.float32(got.scale), got.zero_point) == (np.float32(scale), zero_point), blob
            np.testing.assert_array_equal(got.data, data, err_msg=blob)
        for name in set(made.predict.external_output) - PROPOSED:
            np.testing.assert_allclose(ours.fetch(name), theirs[name], rtol=1e-4, atol=1e-5, err_msg=name)
    return len(blobs)


@pytest.mark.filterwarnings("ignore:.*stays float")
@pytest.mark.parametrize("method", ["min_max", "l2_approx"])
@pytest.mark.parametrize(
    "name",
    [
        "digits24",
        "digits_depthwise",
        "digits_clipped",
        "digits_mlp",
        "resnet_eighth_bn",
        "mobilenet_v2_quarter",
        "squeezenet_tiny",
        "densenet_tiny",
        "recommender",
        "sequence",
        "detector",
    ],
)
def test_nets(name, method, caffe2):
    feeds = dict(np.load(NETS / ("digits24" if name.startswith("digits") else name) / "inputs.npz"))
    # pair_safe: the same on CPUs without VNNI
    made = serverquant.quantize(
        NETS / name / "init_net.pb", NETS / name / "predict_net.pb", feeds, method=method, pair_safe=True
    )
    assert check(made, feeds, caffe2) > 2


@pytest.mark.parametrize("name", families.CASES)
def test_operators(name, caffe2):
    case = families.CASES[name]
    assert check(serverquant.quantize(*case.nets, case.feeds, pair_safe=True), case.feeds, caffe2) >= 2


def test_shuffle_net(caffe2):
    feeds = {"x": families.X}
    assert check(serverquant.quantize(*families.shuffle_net(), feeds, pair_safe=True), feeds, caffe2) > 10


@pytest.mark.parametrize("form", ["fused8", "fused4"])
@pytest.mark.parametrize("type", ["SparseLengthsSum", "SparseLengthsWeightedSum", "SparseLengthsMean"])
def test_embeddings(type, form, caffe2):
    nets, feeds = bags(type)
    assert check(serverquant.quantize(*nets, feeds, embeddings=form, pair_safe=True), feeds, caffe2) >= 4


@pytest.mark.filterwarnings("ignore:.*stays float")
@pytest.mark.parametrize("name", ["digits_mlp", "digits24"])
def test_dynamic_layers(name, caffe2):
    """They follow the range of what they read; what they give is float, so near, not equal."""
    feeds = dict(np.load(NETS / "digits24" / "inputs.npz"))
    nets = [NETS / name / file for file in ("init_net.pb", "predict_net.pb")]
    overrides = {"*": {"dynamic": True}}
    made = serverquant.quantize(*nets, feeds, pair_safe=True, overrides=overrides)
    assert any(op.type == "Int8FC" and op.input[0] not in made.recipe["blobs"] for op in made.predict.op)
    for factor in (1, 40, 0.1):
        check(made, {key: np.float32(value * factor) for key, value in feeds.items()}, caffe2)


def test_operators_that_stay_float(caffe2):
    feeds = dict(np.load(NETS / "digits24" / "inputs.npz"))
    nets = [NETS / "digits24" / file for file in ("init_net.pb", "predict_net.pb")]
    kinds = {"101": {"float": True}, "out": {"weights": "search"}}
    made = serverquant.quantize(*nets, feeds, pair_safe=True, preset="fast", overrides=kinds)
    assert "it was asked to stay float" in " ".join(made.recipe["float"].values())
    assert check(made, feeds, caffe2) >= 2


@pytest.mark.parametrize("weights", ["min_max", "l2"])
@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_groups(order, weights, caffe2):
    nets, x = uneven(order, group=2)
    made = serverquant.quantize(*nets, {"x": x}, granularity="group", weights=weights)
    assert any(arg.name == "quantize_groupwise" for op in made.predict.op for arg in op.arg)
    assert check(made, {"x": x}, caffe2) == 3


BITS = [
    {"activation_bits": 2, "weight_bits": 2},
    {"activation_bits": 4},
    {"activation_bits": 6, "activations": "symmetric", "power_of_two": True},
    {"activation_bits": 7, "weight_bits": 5},
    {"symmetric_weights": False, "pair_safe": False, "activation_bits": 7},
]
WORDS = [
    {"activation_bits": 16},
    {"activation_bits": 16, "weight_bits": 16, "activations": "symmetric"},
    {"activation_bits": 10, "weight_bits": 10, "power_of_two": True},
    {"weight_bits": 12},
]
# Their float operators add up in another order than Caffe2's, which 16 bits show.
FLOAT_SUMS = ("tanh", "tanh_again", "group_norm", "conv_transpose")


@pytest.mark.filterwarnings("ignore::serverquant.GainWarning")
@pytest.mark.parametrize("settings", BITS + WORDS, ids=str)
def test_bits_of_operators(settings, caffe2):
    for name, case in families.CASES.items():
        if settings in WORDS and name in FLOAT_SUMS:
            continue
        made = serverquant.quantize(*case.nets, case.feeds, **{"pair_safe": True, **settings})
        assert check(made, case.feeds, caffe2) >= 2, name


@pytest.mark.filterwarnings("ignore::serverquant.GainWarning")
@pytest.mark.parametrize("settings", [*BITS, *WORDS, {"activation_bits": 8}], ids=str)
@pytest.mark.parametrize("name", ["digits24", "digits_depthwise"])
def test_bits_of_nets(name, settings, caffe2):
    """On larger values than those of the calibration, too."""
    feeds = {"data": np.load(NETS / "digits24" / "inputs.npz")["data"][:64]}
    nets = [NETS / name / file for file in ("init_net.pb", "predict_net.pb")]
    made = serverquant.quantize(*nets, feeds, **{"pair_safe": True, **settings})
    for factor in (1, 3):
        assert check(made, {"data": np.float32(factor) * feeds["data"]}, caffe2) > 10


@pytest.mark.filterwarnings("ignore::serverquant.GainWarning")
@pytest.mark.parametrize("bits", [4, 16])
@pytest.mark.parametrize("name", ["resnet_eighth_bn", "mobilenet_v2_quarter", "squeezenet_tiny", "sequence"])
def test_bits_of_larger_nets(name, bits, caffe2):
    feeds = dict(np.load(NETS / name / "inputs.npz"))
    nets = [NETS / name / file for file in ("init_net.pb", "predict_net.pb")]
    assert check(serverquant.quantize(*nets, feeds, pair_safe=True, activation_bits=bits), feeds, caffe2) > 20


@pytest.mark.filterwarnings("ignore::serverquant.GainWarning")
def test_mixed_bits(caffe2):
    feeds = {"data": np.load(NETS / "digits24" / "inputs.npz")["data"][:64]}
    nets = [NETS / "digits24" / file for file in ("init_net.pb", "predict_net.pb")]
    overrides = {"data": {"activation_bits": 12}, "7*": {"weight_bits": 13}, "8*": {"activation_bits": 5}}
    overrides["out"] = {"dynamic": True}
    made = serverquant.quantize(*nets, feeds, pair_safe=True, overrides=overrides)
    assert {entry["bits"] for entry in made.recipe["blobs"].values()} == {5, 8, 12}
    assert check(made, feeds, caffe2) > 10


@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("symmetric", [0, 1])
@pytest.mark.parametrize("power_of_two", [0, 1])
def test_parameters_of_activations(bits, symmetric, power_of_two, caffe2):
    """Those that Caffe2's Quantize chooses for the same values, by min_max."""
    engine = "DNNLOWP" if bits <= 8 else "DNNLOWP_16"
    given = {"preserve_activation_sparsity": symmetric, "force_scale_power_of_two": power_of_two}
    net = proto.NetDef(name="quantize")
    net.op.append(core.CreateOperator("Quantize", ["x"], ["y"], engine=engine, activation_precision=bits, **given))
    net.external_input.append("x")
    for seed, shift in enumerate((0, 0.4, 8, -8)):
        x = np.float32(np.random.default_rng(seed).normal(size=(40, 5)) * 10.0 ** (seed - 1) + shift)
        caffe2.reset()
        caffe2.feed({"x": x})
        caffe2.create(net.SerializeToString())
        caffe2.run(1)
        _, scale, zero_point = caffe2.fetch(["y"])["y"]
        seen = BlobStatistics()
        seen.add(x)
        known = Statistics("")
        known.blobs["x"] = seen
        settings = Settings(
            activation_bits=bits,
            activations="symmetric" if symmetric else "asymmetric",
            power_of_two=bool(power_of_two),
        )
        found = choose_params(known, "x", settings)
        assert (np.float32(found.scale), found.zero_point) == (scale, zero_point)


@pytest.mark.filterwarnings("ignore:.*stays float")
@pytest.mark.parametrize("settings", [{"weight_bits": 4}, {"activations": "symmetric"}, {"power_of_two": True}])
@pytest.mark.parametrize("overrides", [{}, {"out": {"dynamic": True}}])
def test_levels(settings, overrides, caffe2):
    feeds = dict(np.load(NETS / "digits24" / "inputs.npz"))
    nets = [NETS / "digits24" / file for file in ("init_net.pb", "predict_net.pb")]
    assert check(serverquant.quantize(*nets, feeds, pair_safe=True, overrides=overrides, **settings), feeds, caffe2) > 9
