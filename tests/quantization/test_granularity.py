"""Scales by tensor, channel and group; overrides of single operators; layers that quantize while they run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, outputs, random, three_layers

import serverquant
from serverquant import core
from serverquant._base.errors import ArgumentError
from serverquant.cli import main
from serverquant.proto.args import Arguments
from serverquant.quantization.ptq import quantize
from serverquant.quantization.rules import read_override

f32 = np.float32
DIGITS = [NETS / "digits24" / f for f in ("init_net.pb", "predict_net.pb")]
IMAGES = np.load(NETS / "digits24" / "train.npz")["data"][:32]
X, ROWS = random(8, 4, 9, 9), random(16, 12, seed=9)
UNEVEN = 10.0 ** np.linspace(-3, 0, 8)
W = f32(random(8, 4, 3, 3, seed=1) * UNEVEN.reshape(-1, 1, 1, 1))
BIAS = f32(random(8, seed=2) * UNEVEN)
OWN = {"target": "serverquant", "preset": "fast"}


def uneven(order="NCHW", group=1, ndim=2, w=W):
    """A layer with outputs of unlike sizes that a Relu keeps from folding, and a layer that evens them out."""
    w, v = w[:, : 4 // group], f32(random(5, 8, 1, 1, seed=3) / UNEVEN.reshape(1, -1, 1, 1))
    x = X
    if ndim == 1:
        w, v, x = w[..., 0], v[..., 0], X[..., 0]
    if order == "NHWC":
        w, v, x = (np.moveaxis(a, 1, -1) for a in (w, v, x))
    ops = [
        core.CreateOperator("Conv", ["x", "w", "c"], ["h"], kernels=[3] * ndim, order=order, group=group),
        core.CreateOperator("Relu", ["h"], ["i"]),
        core.CreateOperator("Conv", ["i", "v"], ["y"], kernels=[1] * ndim, order=order),
    ]
    return nets_of(ops, outputs=("i", "y"), w=w, c=BIAS, v=v), np.ascontiguousarray(x)


def rows_net():
    """FC, Relu, FC, Relu, FC; the first one's rows of unlike sizes."""
    weights = {f"w{i}": random(n, k, seed=i) / 4 for i, (n, k) in enumerate(((10, 12), (8, 10), (6, 8)), 1)}
    weights["w1"] = f32(weights["w1"] * 10.0 ** np.linspace(-3, 0, 10).reshape(-1, 1))
    return three_layers(**weights, **{f"b{i}": random(n, seed=i + 5) / 4 for i, n in enumerate((10, 8, 6), 1)})


def sqnr(want, got):
    return 10 * np.log10(np.square(want, dtype=np.float64).sum() / np.square(np.float64(want) - got).sum())


def writer(made, blob):
    """The operator that writes a blob of the float net, and its arguments."""
    name = made.recipe["blobs"].get(blob, {"int8": blob})["int8"]
    (op,) = (op for op in made.predict.op if name in op.output)
    return op, Arguments(op)


def scales(made, blob):
    return writer(made, blob)[1].value("weight_scales", None)


@pytest.mark.parametrize(("order", "group", "ndim"), [("NCHW", 1, 2), ("NHWC", 1, 2), ("NCHW", 2, 2), ("NCHW", 1, 1)])
def test_channels_have_scales_of_their_own(order, group, ndim):
    """With one scale, the smallest outputs' weights are a few steps at most."""
    nets, x = uneven(order, group, ndim)
    made = {g: quantize(*nets, {"x": x}, granularity=g, **OWN) for g in ("tensor", "channel")}
    assert scales(made["tensor"], "i") is None
    w = W[:, : 4 // group] if ndim == 2 else W[..., 0]
    np.testing.assert_allclose(scales(made["channel"], "i"), np.abs(w).reshape(8, -1).max(1) / 127, 0.02)
    want = outputs(*nets, x=x)["y"]
    off = {g: sqnr(want, outputs(m.init, m.predict, x=x)["y"]) for g, m in made.items()}
    assert off["channel"] > off["tensor"] + 1


def test_groups_share_a_scale():
    nets, x = uneven(group=2)
    made = quantize(*nets, {"x": x}, granularity="group", **OWN)
    found = scales(made, "i")
    assert found == [found[0]] * 4 + [found[7]] * 4
    assert found[0] < found[7] / 10
    assert scales(made, "y") is None  # it has one group


@pytest.mark.parametrize("weights", ["min_max", "l2"])
@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_groups_as_caffe2_has_them(order, weights):
    """Float weights, quantized by the operator."""
    nets, x = uneven(order, group=2)
    made = {g: quantize(*nets, {"x": x}, granularity=g, weights=weights, preset="fast") for g in ("tensor", "group")}
    op, args = writer(made["group"], "i")
    assert (args.int("quantize_groupwise"), args.value("weight_scales", None)) == (1, None)
    with serverquant.load(made["group"].init, made["group"].predict) as run:
        assert run.fetch(op.input[1]).dtype == f32
    want = outputs(*nets, x=x)["i"]
    small = [slice(None), slice(0, 4)] if order == "NCHW" else [..., slice(0, 4)]
    got = {g: outputs(m.init, m.predict, x=x)["i"] for g, m in made.items()}
    step = made["group"].recipe["blobs"]["i"]["scale"]
    np.testing.assert_allclose(got["group"][tuple(small)], want[tuple(small)], atol=step)
    assert sqnr(want, got["group"]) >= sqnr(want, got["tensor"])
    for bias in ("analytic", "empirical"):
        better = quantize(*nets, {"x": x}, granularity="group", weights=weights, preset="fast", bias=bias)
        assert set(better.recipe["corrections"]["bias"]) == {"h", "y"}


def test_depthwise_weights_keep_one_scale_for_caffe2():
    """Its kernel saturates: they are made so that it does not."""
    nets = [NETS / "digits_depthwise" / f.name for f in DIGITS]
    made = [quantize(*nets, IMAGES, granularity=g, preset="fast") for g in ("tensor", "group")]
    assert made[0].predict == made[1].predict


def test_rows_of_fc():
    nets = rows_net()
    made = quantize(*nets, {"x": ROWS}, granularity="channel", **OWN)
    assert [len(scales(made, blob)) for blob in ("r1", "r2", "y")] == [10, 8, 6]
    got = outputs(made.init, made.predict, x=ROWS)["y"]
    assert sqnr(outputs(*nets, x=ROWS)["y"], got) > 35


def test_depthwise_net():
    """The trained net that one scale a tensor breaks."""
    nets = [NETS / "digits_depthwise" / f.name for f in DIGITS]
    images = np.load(NETS / "digits24" / "inputs.npz")["data"][:50]
    want = outputs(*nets, data=images)
    (name,) = want
    off = {}
    for granularity in ("tensor", "group", "channel"):
        made = quantize(*nets, IMAGES, granularity=granularity, **OWN)
        off[granularity] = sqnr(want[name], outputs(made.init, made.predict, data=images)[name])
    assert off["channel"] > 18 > off["group"] + 1 > 10 > off["tensor"]


def test_outputs_of_next_to_nothing():
    """The scale of weights of 1e-12 would leave no room in int32 for the bias."""
    w = W.copy()
    w[2] *= f32(1e-12)
    w[3] = 0
    nets, x = uneven(w=w)
    made = quantize(*nets, {"x": x}, granularity="channel", **OWN)
    want, got = (outputs(*n, x=x)["i"][:, 2:4] for n in (nets, (made.init, made.predict)))
    step = made.recipe["blobs"]["i"]["scale"]
    np.testing.assert_allclose(got, want, atol=step)
    assert np.array(scales(made, "i"))[2] >= abs(BIAS[2]) / made.recipe["blobs"]["x"]["scale"] / 2**30 * 0.999


@pytest.mark.parametrize("bias", ["analytic", "empirical"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_biases_are_corrected(bias, dynamic):
    """Means of the outputs come nearer to those of the float net, with float biases too."""
    nets = rows_net()
    made = {}
    for kind in ("none", bias):
        overrides = {"f2": {"dynamic": True}, "y": {"dynamic": True}} if dynamic else {}
        own = {**OWN, "bias": kind, "weights": "p99"}  # coarse enough for errors of the mean
        made[kind] = quantize(*nets, {"x": ROWS}, granularity="channel", overrides=overrides, **own)
    assert set(made[bias].recipe["corrections"]["bias"]) == {"f1", "f2", "y"}
    want = outputs(*nets, x=ROWS)["y"].mean(0)
    off = {k: np.abs(outputs(m.init, m.predict, x=ROWS)["y"].mean(0) - want).max() for k, m in made.items()}
    assert off[bias] < off["none"]


def test_pair_safe():
    """Of each output for itself."""
    nets, x = uneven()
    made = quantize(*nets, {"x": x}, granularity="channel", pair_safe=True, **OWN)
    with serverquant.load(made.init, made.predict) as run:
        stored = run.fetch(writer(made, "i")[0].input[1]).data.astype(int) - 128
    pairs = stored.reshape(8, 18, 2)
    assert np.maximum(pairs, 0).sum(2).max() <= 128
    assert np.minimum(pairs, 0).sum(2).min() >= -128
    assert (np.abs(stored).reshape(8, -1).max(1) > 60).all()


def test_report_and_compare():
    nets = rows_net()
    made = quantize(*nets, {"x": ROWS}, granularity="channel", overrides={"f2": {"dynamic": True}}, **OWN)
    report = made.report({"x": ROWS})
    found = {row["blob"]: row["scales"] for row in report.numbers["weights"]}
    assert {len(found["r1"]), len(found["f2"]), len(found["y"])} == {10, 8, 6}
    assert min(d.sqnr for d in serverquant.compare(nets, (made.init, made.predict), {"x": ROWS})) > 30


# ---- levels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["min_max", "search"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_weights_of_fewer_bits(granularity, weights):
    """Levels around 128, and 6 dB a bit."""
    nets, off = rows_net(), {}
    for bits in (2, 4, 6, 8):
        made = quantize(*nets, {"x": ROWS}, granularity=granularity, weights=weights, weight_bits=bits, **OWN)
        with serverquant.load(made.init, made.predict) as run:
            for blob in ("r1", "r2", "y"):
                stored = run.fetch(writer(made, blob)[0].input[1]).data
                assert 2 < len(np.unique(stored)) <= 2**bits
                assert 128 - 2 ** (bits - 1) <= stored.min() < stored.max() < 128 + 2 ** (bits - 1)
        off[bits] = sqnr(outputs(*nets, x=ROWS)["y"], outputs(made.init, made.predict, x=ROWS)["y"])
    assert off[8] > off[6] + 3 > off[4] + 9 > off[2] + 12


def test_single_layers_have_fewer_bits():
    nets = rows_net()
    made = quantize(*nets, {"x": ROWS}, preset="fast", overrides={"f2": {"weight_bits": 3}})
    with serverquant.load(made.init, made.predict) as run:
        levels = [len(np.unique(run.fetch(writer(made, blob)[0].input[1]).data)) for blob in ("r1", "r2", "y")]
    assert levels[1] <= 8 < min(levels[0], levels[2])


@pytest.mark.parametrize("method", ["min_max", "l2", "percentile", "moving_average"])
def test_symmetric_activations(method):
    """Those behind a Relu have one sign."""
    nets = rows_net()
    made = quantize(*nets, {"x": ROWS}, activations="symmetric", method=method, granularity="channel", **OWN)
    assert {name: blob["zero_point"] for name, blob in made.recipe["blobs"].items()} == {"x": 128, "r1": 0, "r2": 0}
    assert sqnr(outputs(*nets, x=ROWS)["y"], outputs(made.init, made.predict, x=ROWS)["y"]) > 30


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("method", ["min_max", "l2", "moving_average"])
def test_powers_of_two(method, granularity):
    nets = rows_net()
    made = quantize(*nets, {"x": ROWS}, power_of_two=True, method=method, granularity=granularity, **OWN)
    plain = quantize(*nets, {"x": ROWS}, method=method, granularity=granularity, **OWN)
    found = [blob["scale"] for blob in made.recipe["blobs"].values()]
    with serverquant.load(made.init, made.predict) as run:
        for blob in ("r1", "r2", "y"):
            found += scales(made, blob) or [run.fetch(writer(made, blob)[0].input[1]).scale]
    assert set(np.frexp(found)[0]) == {0.5}
    for name, blob in made.recipe["blobs"].items():
        assert 1 <= blob["scale"] / plain.recipe["blobs"][name]["scale"] < 2
    assert sqnr(outputs(*nets, x=ROWS)["y"], outputs(made.init, made.predict, x=ROWS)["y"]) > 25


def test_limits_outrank_powers_of_two():
    """What a Clip cuts off, its fused form does."""
    ops = [
        conv("x", "h", "w", "c"),
        core.CreateOperator("Clip", ["h"], ["i"], min=0.0, max=0.75),
        core.CreateOperator("Conv", ["i", "v"], ["y"], kernel=1),
    ]
    nets = nets_of(ops, outputs=("i", "y"), w=W, c=BIAS, v=random(5, 8, 1, 1, seed=3))
    made = quantize(*nets, {"x": X}, power_of_two=True, preset="fast")
    assert made.recipe["blobs"]["i"]["operator"] == "Int8ConvRelu"
    assert outputs(made.init, made.predict, x=X)["i"].max() == f32(0.75)


def test_weights_of_zeros_are_pair_safe():
    nets, x = uneven(w=np.zeros_like(W))
    made = quantize(*nets, {"x": x}, pair_safe=True, preset="fast")
    np.testing.assert_allclose(outputs(made.init, made.predict, x=x)["i"], outputs(*nets, x=x)["i"], atol=0.01)


# ---- overrides ------------------------------------------------------------------------------------------------------


def test_kinds_are_mixed():
    """One net: a layer with a scale for each row, one that is dynamic, one that stays float."""
    overrides = {"f1": {"granularity": "channel", "weights": "search"}, "f2": {"dynamic": True}, "y": {"float": True}}
    nets = rows_net()
    made = quantize(*nets, {"x": ROWS}, target="serverquant", preset="fast", overrides=overrides)
    types = {op.output[0]: op.type for op in made.predict.op}
    assert (types["f2"], types["y"], types["r2"]) == ("Int8FC", "FC", "Relu")
    assert len(scales(made, "r1")) == 10
    assert made.recipe["float"]["y"] == "FC: it was asked to stay float"
    assert sqnr(outputs(*nets, x=ROWS)["y"], outputs(made.init, made.predict, x=ROWS)["y"]) > 35


def test_dynamic_layers_follow_their_input():
    """Data a hundred times larger than those of the calibration are cut off elsewhere."""
    nets = rows_net()
    made = {d: quantize(*nets, {"x": ROWS}, preset="fast", overrides={"*": {"dynamic": d}}) for d in (False, True)}
    dynamic = made[True]
    assert [op.type for op in dynamic.predict.op] == ["Int8FC", "Relu", "Int8FC", "Relu", "Int8FC"]
    assert dynamic.recipe["blobs"] == {}
    with serverquant.load(dynamic.init, dynamic.predict) as run:
        for factor in (1, 100, 0.01):
            x = f32(ROWS * factor)
            want = outputs(*nets, x=x)["y"]
            assert sqnr(want, run({"x": x})["y"]) > 30
    x = f32(ROWS * 100)
    assert sqnr(outputs(*nets, x=x)["y"], outputs(made[False].init, made[False].predict, x=x)["y"]) < 5


def test_dynamic_layer_behind_images():
    """Its columns stay as they were, since it reads floats of the net's order."""
    ops = [
        conv("x", "h", "w"),
        core.CreateOperator("Flatten", ["h"], ["flat"]),
        core.CreateOperator("FC", ["flat", "v", "b"], ["y"]),
    ]
    nets = nets_of(ops, w=W, v=random(5, 8 * 49, seed=3) / 9, b=random(5))
    made = quantize(*nets, {"x": X}, preset="fast", overrides={"y": {"dynamic": True}})
    assert {"Int8Conv", "Int8FC"} <= {op.type for op in made.predict.op}
    assert sqnr(outputs(*nets, x=X)["y"], outputs(made.init, made.predict, x=X)["y"]) > 30


def test_activations_go_with_their_layer():
    """Whichever of the two is named; the method is that of what the pair writes."""
    nets = rows_net()
    plain = quantize(*nets, {"x": ROWS}, preset="fast")
    for name in ("f1", "r1", "[fr]1"):
        made = quantize(*nets, {"x": ROWS}, preset="fast", percentile=80.0, overrides={name: {"method": "percentile"}})
        assert made.recipe["blobs"]["r1"]["scale"] < plain.recipe["blobs"]["r1"]["scale"] * 0.9
        assert made.recipe["blobs"]["r2"] == plain.recipe["blobs"]["r2"]
        kept = quantize(*nets, {"x": ROWS}, preset="fast", overrides={name: {"float": True}})
        assert {op.output[0]: op.type for op in kept.predict.op}["r1"] == "Relu"
        assert "r1" in kept.recipe["float"]


def test_later_overrides_win():
    nets = rows_net()
    made = quantize(*nets, {"x": ROWS}, preset="fast", overrides={"f*": {"float": True}, "f2": {"float": False}})
    assert made.recipe["blobs"]["r2"]["operator"] == "Int8FCRelu"
    assert made.recipe["float"]["f1"] == "FC: it was asked to stay float"


def test_channels_evened_out_keep_their_override():
    """Equalization gives blobs new names."""
    made = quantize(*DIGITS, IMAGES, bias="none")
    evened = next(name for name in made.recipe["blobs"] if name.endswith("_equalized"))
    made = quantize(*DIGITS, IMAGES, bias="none", overrides={evened.removesuffix("_equalized"): {"float": True}})
    assert evened in made.recipe["float"]


def test_recipe_keeps_all(tmp_path):
    nets = rows_net()
    overrides = {"f*": {"weights": "search"}, "y": {"dynamic": True}}
    want = quantize(*nets, {"x": ROWS}, granularity="channel", overrides=overrides, **OWN)
    want.save(tmp_path)
    got = quantize(*nets, {"x": ROWS}, recipe=tmp_path / "recipe.json")
    assert got.recipe == want.recipe
    assert (got.init, got.predict) == (want.init, want.predict)
    assert quantize(*nets, {"x": ROWS}, recipe=want.recipe, overrides={}).recipe["settings"]["overrides"] == {}


def test_command_line(tmp_path, capsys):
    np.save(tmp_path / "x.npy", IMAGES)
    argv = ["quantize", *map(str, DIGITS), "--data", f"{tmp_path}/x.npy", "--preset", "fast", "--no-report"]
    more = ["--target", "serverquant", "--override", "6*:granularity=channel,weights=search"]
    more += ["--override", "6*:method=p99", "--override", "out:float=1"]
    assert main([*argv, "-o", str(tmp_path / "a"), *more]) == 0
    recipe = json.loads(Path(tmp_path, "a", "recipe.json").read_text())
    first = {"granularity": "channel", "weights": "search", "method": "p99"}
    assert recipe["settings"]["overrides"] == {"6*": first, "out": {"float": True}}
    assert recipe["float"]["out"].endswith("it was asked to stay float")
    assert main([*argv[:-3], "-o", str(tmp_path / "b"), "--no-report", "--recipe", f"{tmp_path}/a/recipe.json"]) == 0
    assert len({Path(tmp_path, folder, "predict_net.pb").read_bytes() for folder in "ab"}) == 1
    capsys.readouterr()
    assert main([*argv, "-o", str(tmp_path / "c"), "--granularity", "channel"]) == 1
    assert 'granularity "channel" needs target "serverquant"' in capsys.readouterr().err


def test_text_of_overrides():
    assert read_override("a:b*:float=0,method=kl") == ("a:b*", {"float": False, "method": "kl"})
    assert read_override("a:weight_bits=4") == ("a", {"weight_bits": 4})
    for wrong in ("fc1", ":float=1", "fc1:", "fc1:float", "fc1:float=", "fc1:float=1,"):
        with pytest.raises(ArgumentError, match="must be PATTERN:KEY=VALUE"):
            read_override(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "onnx"}, "target is 'onnx'; it must be one of caffe2, serverquant"),
        ({"granularity": "row"}, "granularity is 'row'; it must be one of tensor, channel, group"),
        ({"weight_bits": 17}, "weight_bits is 17; it must be one of 2, 3, .*, 16"),
        ({"activations": "even"}, "activations is 'even'; it must be one of asymmetric, symmetric"),
        ({"overrides": {"f1": {"weight_bits": "4"}}}, "weight_bits is '4'; it must be one of 2, 3"),
        ({"granularity": "channel"}, 'granularity "channel" needs target "serverquant"'),
        ({"granularity": "group", "pair_safe": True}, "goes with pair_safe for target .serverquant. alone"),
        ({"overrides": {"f1": {"granularity": "channel"}}}, 'granularity "channel" needs target "serverquant"'),
        ({"overrides": {"f1": {"bits": 4}}}, "has 'bits'; it must be one of granularity, weights, weight_bits"),
        ({"overrides": {"f1": {"float": 1}}}, "float is 1; it must be True or False"),
        ({"overrides": {"f1": {"method": "guess"}}}, "method is 'guess'; it must be one of kl, l1,"),
        ({"overrides": {"f1": {}}}, "must be a dict of settings"),
        ({"overrides": ["f1"]}, "must be a dict of blobs"),
        ({"overrides": {"f9": {"float": True}}}, 'override "f9" matches no blob that an operator writes; .* f1'),
        ({"overrides": {"r*": {"dynamic": True}, "zz": {"float": True}}}, 'override "zz" matches no blob'),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ArgumentError, match=message):
        quantize(*rows_net(), {"x": ROWS}, **settings)


def test_only_fc_is_dynamic():
    nets, x = uneven()
    with pytest.raises(ArgumentError, match='override "h" asks Conv, Relu to be dynamic; FC alone can be'):
        quantize(*nets, {"x": x}, overrides={"h": {"dynamic": True}})
