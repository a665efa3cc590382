"""Equalization leaves float outputs equal, bias correction takes mean errors away, settings come back from a recipe."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, outputs, random

import serverquant
from serverquant import cli, core
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.qparams import dequantize
from serverquant.qparams import quantize as quantize_weights
from serverquant.quantization.calibrate import calibrate, calibrate_net
from serverquant.quantization.corrections.equalization import DATA_FREE, equalize, needs_statistics
from serverquant.quantization.corrections.means import ChannelMeans
from serverquant.quantization.emit.weights import weight_params
from serverquant.quantization.net import Net
from serverquant.quantization.ptq import PRESETS, quantize
from serverquant.quantization.rewrite import simplify

f32 = np.float32
IMAGES = np.load(NETS / "digits24" / "inputs.npz")["data"]
LABELS = np.load(NETS / "digits24" / "labels.npz")["labels"]
TRAIN = np.load(NETS / "digits24" / "train.npz")["data"][:128]


def pair(name: str) -> tuple[Path, Path]:
    return NETS / name / "init_net.pb", NETS / name / "predict_net.pb"


def accuracy(nets) -> float:
    return float((outputs(*nets, data=IMAGES)["out"].argmax(1) == LABELS).mean())


def drops_of(nets, kinds) -> dict[tuple[str, str], float]:
    """By kind of equalization and of bias correction, the accuracy lost."""
    want = accuracy(nets)
    return {
        (equalization, bias): want - accuracy((made.init, made.predict))
        for equalization in kinds
        for bias in ("none", "empirical")
        for made in [quantize(*nets, TRAIN, preset="fast", equalization=equalization, bias=bias)]
    }


def equalized(nets, kind="cross_layer", data=None) -> tuple[Net, int]:
    """The net after equalization, and between how many layers it was done."""
    net = Net(*nets)
    simplify(net)
    seen = None if data is None else calibrate_net(net, data)
    return net, equalize(net, kind, seen)


def near(nets, feeds, places, kind="cross_layer") -> Net:
    """The equalized net, once its outputs are those of the float one."""
    net, count = equalized(nets, kind, None if kind in DATA_FREE else feeds)
    assert count == places
    want, got = outputs(*nets, **feeds), outputs(*net.protos(), **feeds)
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=2e-5 * np.abs(value).max())
    return net


# ---- equalization ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cross_layer", "activations"])
@pytest.mark.parametrize(("name", "places"), [("digits_depthwise", 11), ("digits_residual", 3), ("digits_mlp", 2)])
def test_outputs_of_trained_nets_stay(name, places, kind):
    near(pair(name), {"data": IMAGES[:20]}, places, kind)


def test_ranges_meet():
    ops = [core.CreateOperator("FC", [f"x{i}", f"w{i}", "b"], [f"x{i + 1}"]) for i in range(3)]
    weights = {f"w{i}": uneven(12, 12, seed=i) for i in range(3)}
    net = near(nets_of(ops, inputs=["x0"], outputs=["x3"], b=np.zeros(12), **weights), {"x0": random(5, 12)}, 2)
    first, second, third = (net.weight(op.input[1]) for op in net.ops)
    for a, b in ((first, second), (second, third)):
        np.testing.assert_allclose(np.abs(a).max(1), np.abs(b).max(0), rtol=5e-3)


def uneven(*shape, seed):
    """Weights whose output channels differ by powers of ten."""
    scale = 10.0 ** np.random.default_rng(seed).uniform(-2, 2, shape[0])
    return f32(random(*shape, seed=seed) * scale.reshape(-1, *(1,) * (len(shape) - 1)))


X, W = random(3, 4, 8, 8), uneven(8, 4, 3, 3, seed=1)
LAYERS = {"w": W, "c": uneven(8, seed=2), "v": random(6, 8, 3, 3, seed=3), "d": random(6, seed=4)}


def test_through_relu_and_pools():
    ops = [
        conv("x", "h", "w", "c"),
        core.CreateOperator("Relu", ["h"], ["r"]),
        core.CreateOperator("MaxPool", ["r"], ["m"], kernel=2),
        conv("m", "y", "v", "d"),
    ]
    net = near(nets_of(ops, **LAYERS), {"x": X}, 1)
    assert [op.output[0] for op in net.ops] == ["h_equalized", "r_equalized", "m_equalized", "y"]


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_an_fc_on_an_image(order):
    x, w = X, W
    if order == "NHWC":
        x, w = X.transpose(0, 2, 3, 1), W.transpose(0, 2, 3, 1)
    ops = [
        conv("x", "h", "w", "c", order=order),
        core.CreateOperator("Flatten", ["h"], ["f"]),
        core.CreateOperator("FC", ["f", "v", "d"], ["y"]),
    ]
    weights = {"w": w, "c": LAYERS["c"], "v": random(5, 8 * 36, seed=6), "d": random(5, seed=7)}
    near(nets_of(ops, **weights), {"x": np.ascontiguousarray(x)}, 1)


def test_groups_and_several_readers():
    ops = [
        conv("x", "h", "w", "c", group=2),
        conv("h", "y", "v", group=4),
        conv("h", "z", "u", "d"),
    ]
    weights = {"w": W[:, :2], "c": LAYERS["c"], "v": random(12, 2, 3, 3), "u": LAYERS["v"], "d": LAYERS["d"]}
    near(nets_of(ops, outputs=("y", "z"), **weights), {"x": X}, 1)


def test_what_stops_it():
    second = conv("r", "y", "v", "d")
    clip = [conv("x", "h", "w", "c"), core.CreateOperator("Clip", ["h"], ["r"], min=0.0, max=6.0), second]
    near(nets_of(clip, **LAYERS), {"x": X}, 0)
    is_output = [conv("x", "r", "w", "c"), second]
    near(nets_of(is_output, outputs=("y", "r"), **LAYERS), {"x": X}, 0)
    other_reader = [*is_output, core.CreateOperator("Sigmoid", ["r"], ["s"])]
    near(nets_of(other_reader, outputs=("y", "s"), **LAYERS), {"x": X}, 0)


def test_dead_channels_stay_finite():
    w = W.copy()
    w[2] = 0
    ops = [conv("x", "h", "w", "c"), conv("h", "y", "v", "d")]
    net = near(nets_of(ops, **{**LAYERS, "w": w}), {"x": X}, 1)
    assert not net.weight(net.ops[0].input[1])[2].any()


def test_a_dying_channel_does_not_blow_up():
    """Its weights are nearly 0, its bias is not: its activation stays in the range of the others."""
    w, c = random(8, 4, 3, 3, seed=1), random(8, seed=2)
    w[2], c[2] = w[2] * f32(1e-12), 0.5
    net = near(nets_of([conv("x", "h", "w", "c"), conv("h", "y", "v", "d")], **{**LAYERS, "w": w, "c": c}), {"x": X}, 1)
    bias = np.abs(net.weight(net.ops[0].input[2]))
    assert bias[2] <= bias.max() <= np.abs(c).max()


def test_activations_agree_with_caffe2s_operator():
    x, w1, w2 = random(50, 6), f32(random(8, 6, seed=1) * np.geomspace(0.5, 2, 8)[:, None]), random(5, 8, seed=2)
    ops = [core.CreateOperator("FC", ["x", "w", "c"], ["h"]), core.CreateOperator("FC", ["h", "v", "d"], ["y"])]
    nets = nets_of(ops, w=w1, c=random(8), v=w2, d=random(5))
    with serverquant.load(*nets, keep_blobs=True) as run:
        run(x=x)
        hidden = run.fetch("h")
    formula = nets_of([core.CreateOperator("ComputeEqualizationScale", ["x", "w"], ["y"])], inputs=("x", "w"))
    want = outputs(*formula, x=hidden, w=w2)["y"]
    net = near(nets, {"x": x}, 1, "activations")
    factor = (net.weight(net.ops[0].input[1]) / w1).mean(1)
    rows, columns = np.abs(w1).max(1), np.abs(w2).max(0)
    np.testing.assert_allclose(factor, np.clip(want, columns / columns.max(), rows.max() / rows), rtol=1e-5)
    assert (np.abs(factor / want - 1) < 1e-5).any()


# ---- through Clip ---------------------------------------------------------------------------------------------------


def clip(x, y, top=6.0):
    return core.CreateOperator("Clip", [x], [y], min=0.0, max=top)


def seen_behind(nets, blob, feeds):
    """The largest value of each channel."""
    with serverquant.load(*nets, keep_blobs=True) as run:
        run(feeds)
        return np.abs(run.fetch(blob)).max((0, 2, 3))


CLIPPED = [conv("x", "h", "w", "c"), clip("h", "r"), conv("r", "g", "v", "d"), clip("g", "q"), conv("q", "y", "u")]


def clipped(x=X, ops=CLIPPED):
    """Nets of two Clips, the first of which some channels reach and others do not, and what they read."""
    return nets_of(ops, u=random(5, 6, 3, 3, seed=7), **LAYERS), {"x": x}


def test_what_was_seen_behind_clip_stays():
    nets, feeds = clipped()
    net = near(nets, feeds, 2, "through_clip")
    before, after = seen_behind(nets, "r", feeds), seen_behind(net.protos(), "r_equalized", feeds)
    held = before == 6
    assert 0 < held.sum() < 8
    assert (after <= 6).all()
    w, v = net.weight(net.ops[0].input[1]), net.weight(net.ops[2].input[1])
    np.testing.assert_array_equal(w[held], W[held])
    assert (w[~held] != W[~held]).any((1, 2, 3)).all()
    assert needs_statistics(Net(*nets), "through_clip")
    assert not needs_statistics(Net(*nets), "cross_layer")
    assert v.shape == LAYERS["v"].shape


def test_a_limit_is_above_what_was_seen_by_few():
    """How far one sample of three goes above the others says little of what the next would do."""
    x = random(96, 4, 8, 8, seed=9)
    nets = clipped()[0]
    for count in (3, 96):
        seen = seen_behind(nets, "r", {"x": x[:count]})
        net, _ = equalized(nets, "through_clip", {"x": x[:count]})
        scale = W[:, 0, 0, 0] / net.weight(net.ops[0].input[1])[:, 0, 0, 0]
        assert (6 * scale >= np.minimum(seen * (1 + 8 / count), 6) * (1 - 1e-5)).all()
    assert (6 * scale < 6 * 0.9).any()


def test_scales_are_relative_to_what_is_held():
    """Units of a layer's weights, or of the layer behind it, change nothing but themselves."""
    nets, feeds = clipped()
    net = near(nets, feeds, 2, "through_clip")
    other = {**LAYERS, "v": LAYERS["v"] * f32(1024)}
    scaled = near(nets_of(CLIPPED, u=random(5, 6, 3, 3, seed=7), **other), feeds, 2, "through_clip")
    np.testing.assert_array_equal(*(n.weight(n.ops[0].input[1]) for n in (net, scaled)))


def test_a_clip_that_nothing_reaches_is_as_relu():
    """Up to one factor for a layer."""
    x = f32(X * 1e-4)
    weights = {**LAYERS, "c": LAYERS["c"] * f32(1e-4)}
    first, last = conv("x", "h", "w", "c"), conv("r", "y", "v", "d")
    feeds = {"x": x}
    through = near(nets_of([first, clip("h", "r"), last], **weights), feeds, 1, "through_clip")
    relu = near(nets_of([first, core.CreateOperator("Relu", ["h"], ["r"]), last], **weights), feeds, 1)
    for i in (0, 2):
        ratio = through.weight(through.ops[i].input[1]) / relu.weight(relu.ops[i].input[1])
        np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-3)


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_through_relu_n_to_an_fc(order):
    x, w = X, W
    if order == "NHWC":
        x, w = X.transpose(0, 2, 3, 1), W.transpose(0, 2, 3, 1)
    ops = [
        conv("x", "h", "w", "c", order=order),
        core.CreateOperator("ReluN", ["h"], ["r"], n=2.0),
        core.CreateOperator("Flatten", ["r"], ["f"]),
        core.CreateOperator("FC", ["f", "v", "d"], ["y"]),
    ]
    weights = {"w": w, "c": LAYERS["c"], "v": random(5, 8 * 36, seed=6), "d": random(5, seed=7)}
    places = 1 if order == "NCHW" else 0  # of NHWC the channels, axis 3, are not in the statistics
    near(nets_of(ops, **weights), {"x": np.ascontiguousarray(x)}, places, "through_clip")


def test_a_net_of_relu6_is_rescued():
    drops = drops_of(pair("digits_clipped"), ("cross_layer", "through_clip"))
    assert drops["cross_layer", "none"] > 0.1
    assert drops["through_clip", "none"] < 0.01
    assert drops["through_clip", "empirical"] < 0.01


def test_two_calibrations_are_told_as_one():
    """Those of a net without Clip as what they are."""
    for name, kind, calls in (
        ("digits_clipped", "through_clip", 2),
        ("digits_depthwise", "through_clip", 1),
        ("digits_depthwise", "activations", 2),
    ):
        told = []
        quantize(*pair(name), TRAIN[:30], preset="fast", equalization=kind, batch=10,
                 progress=lambda *told_of, told=told: told.append(told_of))  # fmt: skip
        assert told == [(10 * (i + 1), 30 * calls) for i in range(3 * calls)]
    told = []
    batches = (TRAIN[i : i + 10] for i in (0, 10))
    quantize(*pair("digits_clipped"), batches, preset="fast", equalization="through_clip",
             progress=lambda *told_of: told.append(told_of))  # fmt: skip
    assert told[-1] == (40, 40)


# ---- bias -----------------------------------------------------------------------------------------------------------


def test_means_forget_order():
    values = f32(random(40, 3, 5, seed=3) * 10.0 ** random(40, 3, 5))
    most = float(np.abs(values).max())

    def mean(parts):
        found = ChannelMeans(most)
        for part in parts:
            found.add(part, 1)
        return found.mean()

    want = mean([values])
    assert (mean([values[i : i + 1] for i in np.random.default_rng(0).permutation(40)]) == want).all()
    np.testing.assert_allclose(want, np.float64(values).mean((0, 2)), rtol=0, atol=most * 2.0**-32)


def mean_error(nets, made, blob, feeds):
    """By channel, in steps of an int8 output: how far the mean of a blob is from the float net's."""
    with serverquant.load(*nets, keep_blobs=True) as a, serverquant.load(made.init, made.predict, keep_blobs=True) as b:
        a(feeds)
        b(feeds)
        want, got = a.fetch(blob), b.fetch(blob)
    axes = (0, 2, 3) if want.ndim == 4 else (0,)
    step = (want.max() - want.min()) / 255
    return np.abs(np.float64(got).mean(axes) - np.float64(want).mean(axes)) / step


@pytest.mark.parametrize("kind", ["analytic", "empirical"])
def test_mean_errors_go(kind):
    """Inputs far from 0 and uneven weights: a layer's mean is off until its bias is corrected."""
    x = f32(np.abs(random(40, 4, 8, 8, seed=5)) + 3)
    w = f32(random(8, 4, 3, 3, seed=1) * np.geomspace(1, 8, 8).reshape(-1, 1, 1, 1))
    nets = nets_of([conv("x", "y", "w", "c", pad=1)], w=w, c=LAYERS["c"])
    off, on = (mean_error(nets, quantize(*nets, x, preset="fast", bias=bias), "y", {"x": x}) for bias in ("none", kind))
    assert off.max() > 0.4
    assert on.max() < 0.1


def test_every_layer_in_order():
    """Errors of the layers before are corrected too: means agree down to the output."""
    nets = pair("digits_depthwise")
    made = {bias: quantize(*nets, TRAIN, preset="fast", bias=bias) for bias in ("none", "analytic", "empirical")}
    off, analytic, on = (mean_error(nets, result, "out", {"data": TRAIN}).max() for result in made.values())
    assert on < 0.1 < analytic < off
    assert set(made["empirical"].recipe["corrections"]["bias"]) == set(made["analytic"].recipe["corrections"]["bias"])
    assert made["none"].recipe["corrections"]["bias"] == {}


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", ["analytic", "empirical"])
def test_layouts(order, kind):
    """An FC on an image, with columns turned, and layers of both orders, are corrected as what they are."""
    x, w = np.abs(X) + 2, W
    if order == "NHWC":
        x, w = x.transpose(0, 2, 3, 1), W.transpose(0, 2, 3, 1)
    ops = [
        conv("x", "h", "w", "c", order=order),
        core.CreateOperator("Flatten", ["h"], ["f"]),
        core.CreateOperator("FC", ["f", "v", "d"], ["y"]),
    ]
    nets = nets_of(ops, w=w, c=LAYERS["c"], v=uneven(5, 8 * 36, seed=6), d=random(5))
    feeds = {"x": np.ascontiguousarray(x, f32)}
    off, on = (mean_error(nets, quantize(*nets, feeds, preset="fast", bias=b), "y", feeds) for b in ("none", kind))
    assert on.max() < max(0.5, off.max())


def test_depthwise_net_is_rescued():
    """One scale a tensor: off, each, both."""
    drops = drops_of(pair("digits_depthwise"), ("none", "cross_layer"))
    assert drops["none", "none"] > 0.01
    assert drops["cross_layer", "none"] < 0.005
    assert drops["none", "empirical"] < drops["none", "none"]
    assert drops["cross_layer", "empirical"] < 0.005


def test_any_batching_gives_the_same_biases():
    images = TRAIN[:36]
    made = [
        quantize(*pair("digits_depthwise"), images, batch=36),
        quantize(*pair("digits_depthwise"), (images[i : i + 12] for i in (24, 0, 12))),
        quantize(*pair("digits_depthwise"), {"data": images[::-1]}, batch=1),
    ]
    assert len({(r.init.SerializeToString(), r.predict.SerializeToString(), json.dumps(r.recipe)) for r in made}) == 1


# ---- clipping -------------------------------------------------------------------------------------------------------


def test_search_cuts_off_where_it_pays():
    def error(value, params):
        return np.square(dequantize(quantize_weights(value, params), params) - value).sum()

    few_large = np.concatenate([random(20000), f32([9, -9])])
    whole, found = weight_params(few_large, "min_max"), weight_params(few_large, "search")
    assert found.zero_point == 128
    assert found.scale < 0.95 * whole.scale
    assert error(few_large, found) < 0.95 * error(few_large, whole)
    even = f32(np.linspace(-1, 1, 255))
    assert weight_params(even, "search") == weight_params(even, "min_max")
    assert weight_params(np.zeros(5, f32), "search") == weight_params(np.zeros(5, f32), "min_max")
    assert settings(weights="search")["weights"] == "search"


# ---- presets and recipes --------------------------------------------------------------------------------------------


def settings(**given):
    return quantize(*pair("digits_mlp"), TRAIN[:16], **given).recipe["settings"]


def test_presets_and_what_overrides_them():
    assert settings() == settings(preset="default") == vars(PRESETS["default"])
    assert settings(preset="fast") == vars(PRESETS["fast"])
    assert settings(preset="fast", bias="analytic", method="p99") == {
        **vars(PRESETS["fast"]),
        "bias": "analytic",
        "method": "p99",
    }
    for wrong in ({"preset": "slow"}, {"equalization": "some"}, {"bias": "some"}):
        with pytest.raises(ArgumentError, match="must be one of"):
            settings(**wrong)


def test_a_recipe_repeats_a_quantization(tmp_path):
    nets = pair("digits_depthwise")
    want = quantize(*nets, TRAIN[:32], method="l2_approx", equalization="none", bias="analytic")
    want.save(tmp_path)
    got = quantize(*nets, TRAIN[:32], recipe=tmp_path / "recipe.json")
    assert (got.init, got.predict, got.recipe) == (want.init, want.predict, want.recipe)
    assert quantize(*nets, TRAIN[:32], recipe=want.recipe, bias="none").recipe["settings"]["bias"] == "none"
    line = ["quantize", *map(str, nets), "--data", str(tmp_path / "train.npy"), "-o", str(tmp_path / "again")]
    np.save(tmp_path / "train.npy", TRAIN[:32])
    assert cli.main([*line, "--recipe", str(tmp_path / "recipe.json")]) == 0
    for name in ("init_net.pb", "predict_net.pb", "recipe.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_recipes_that_are_refused(tmp_path):
    recipe = quantize(*pair("digits_mlp"), TRAIN[:16], preset="fast").recipe
    with pytest.raises(QuantizationError, match="another net"):
        quantize(*pair("digits_residual"), TRAIN[:16], recipe=recipe)
    broken = {**recipe, "settings": {**recipe["settings"], "method": "guess"}}
    for change, why in (
        ({"version": 99}, "version 99"),
        ({"format": "cake"}, "not a recipe"),
        ({"settings": {"shape": "round"}}, "damaged"),
        (broken, "damaged"),
    ):
        path = tmp_path / "recipe.json"
        path.write_text(json.dumps({**recipe, **change}))
        with pytest.raises(QuantizationError, match=why):
            quantize(*pair("digits_mlp"), TRAIN[:16], recipe=path)
    path.write_text("{")
    with pytest.raises(QuantizationError, match="not a recipe"):
        quantize(*pair("digits_mlp"), TRAIN[:16], recipe=path)


def test_statistics_bring_their_equalization():
    nets = pair("digits_depthwise")
    plain, evened = (calibrate(*nets, TRAIN[:32], equalization=kind) for kind in ("none", "cross_layer"))
    for known, kind in ((plain, "none"), (evened, "cross_layer")):
        found = quantize(*nets, statistics=known).recipe["settings"]
        assert (found["equalization"], found["bias"]) == (kind, "none")
    whole = quantize(*nets, TRAIN[:32], equalization="cross_layer")
    beside = quantize(*nets, TRAIN[:32], statistics=evened)
    assert (beside.init, beside.predict, beside.recipe) == (whole.init, whole.predict, whole.recipe)
    with pytest.raises(QuantizationError, match='equalization is not "none"'):
        quantize(*nets, statistics=evened, equalization="none")
    with pytest.raises(ArgumentError, match="give calibration data"):
        quantize(*nets, statistics=evened, bias="empirical")
    for kind in ("activations", "through_clip"):
        with pytest.raises(ArgumentError, match="give data"):
            quantize(*nets, statistics=evened, equalization=kind)
        with pytest.raises(ArgumentError, match="must be one of"):
            calibrate(*nets, TRAIN[:32], equalization=kind)


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """Writing stops in the middle, here at a limit on the size of files."""
    result = quantize(*pair("digits_mlp"), TRAIN[:16], preset="fast")
    result.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = quantize(*pair("digits_residual"), TRAIN[:16])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="large"):
            other.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
