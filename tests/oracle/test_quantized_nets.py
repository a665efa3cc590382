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


@pytest.mark.filterwarnings("ignore:.*stays float")
@pytest.mark.parametrize("settings", [{"weight_bits": 4}, {"activations": "symmetric"}, {"power_of_two": True}])
@pytest.mark.parametrize("overrides", [{}, {"out": {"dynamic": True}}])
def test_levels(settings, overrides, caffe2):
    feeds = dict(np.load(NETS / "digits24" / "inputs.npz"))
    nets = [NETS / "digits24" / file for file in ("init_net.pb", "predict_net.pb")]
    assert check(serverquant.quantize(*nets, feeds, pair_safe=True, overrides=overrides, **settings), feeds, caffe2) > 9
