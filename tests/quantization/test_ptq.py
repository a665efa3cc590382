"""Quantizing nets: what comes out runs, is near to the float net, and says what stayed float; bad input is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, outputs, random

import serverquant
from serverquant import core
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.proto.io import load_net
from serverquant.quantization.calibrate import calibrate
from serverquant.quantization.compare import Difference, compare
from serverquant.quantization.data import batches
from serverquant.quantization.ptq import quantize

f32 = np.float32


def pair(name: str) -> tuple[Path, Path]:
    return NETS / name / "init_net.pb", NETS / name / "predict_net.pb"


def load(path: str, name: str) -> np.ndarray:
    return np.load(NETS / path)[name]


def types(result) -> list[str]:
    return [op.type for op in result.predict.op]


def sqnr(a: np.ndarray, b: np.ndarray) -> float:
    difference = Difference("a", "b")
    difference.add(a, b)
    return difference.sqnr


# ---- whole nets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["min_max", "p99", "percentile", "l2_approx"])
def test_digits_keep_their_accuracy(method):
    images, labels = load("digits24/inputs.npz", "data"), load("digits24/labels.npz", "labels")
    result = quantize(*pair("digits24"), load("digits24/train.npz", "data")[:256], method=method)
    assert result.recipe["float"] == {}
    right = [
        (outputs(*nets, data=images)["out"].argmax(1) == labels).mean()
        for nets in (pair("digits24"), (result.init, result.predict))
    ]
    assert right[1] >= right[0] - 0.005


def test_parameters_are_those_of_the_shipped_net():
    """digits24_int8_fixed was made by another script from the ranges of all training images."""
    result = quantize(*pair("digits24"), NETS / "digits24" / "train.npz", preset="fast")
    theirs = {op.output[0]: op for op in load_net(pair("digits24_int8_fixed")[1]).op}
    ours = {op.output[0]: op for op in result.predict.op}
    kinds = [op.type for op in theirs.values() if op.type not in ("Softmax", "Int8Dequantize")]
    assert [op.type for op in result.predict.op] == kinds
    for name in ("65_int8", "107_int8", "74_int8", "81_int8", "88_int8", "95_int8"):
        got, want = ({a.name: a.f or a.i for a in ops[name].arg} for ops in (ours, theirs))
        assert got["Y_scale"] == pytest.approx(want["Y_scale"], rel=0.1)
        assert abs(got["Y_zero_point"] - want["Y_zero_point"]) < 12


@pytest.mark.parametrize(
    ("name", "least", "stays"),
    [
        ("resnet_eighth_bn", 15, set()),
        ("mobilenet_v2_quarter", 10, set()),
        ("squeezenet_tiny", 20, set()),
        ("densenet_tiny", 15, set()),
        ("sequence", 20, {"Softmax"}),
    ],
)
def test_nets_stay_near(name, least, stays):
    feeds = dict(np.load(NETS / name / "inputs.npz"))
    result = quantize(*pair(name), feeds)
    want, got = outputs(*pair(name), **feeds), outputs(result.init, result.predict, **feeds)
    assert list(got) == list(want)
    for blob in want:
        assert sqnr(want[blob], got[blob]) > least
    assert {reason.split(":")[0] for reason in result.recipe["float"].values()} <= stays


def test_any_batching_gives_the_same_net():
    images = load("digits24/train.npz", "data")[:60]
    made = [
        quantize(*pair("digits24"), images, batch=60),
        quantize(*pair("digits24"), (images[i : i + 20] for i in (40, 0, 20))),
        quantize(*pair("digits24"), {"data": images[::-1]}, batch=1),
    ]
    files = {(r.init.SerializeToString(), r.predict.SerializeToString(), json.dumps(r.recipe)) for r in made}
    assert len(files) == 1


def test_statistics_instead_of_data(tmp_path):
    images = load("digits24/train.npz", "data")[:40]
    calibrate(*pair("digits24"), images).save(tmp_path / "stats")
    want = quantize(*pair("digits24"), images, bias="none", equalization="cross_layer")
    got = quantize(*pair("digits24"), statistics=tmp_path / "stats")
    assert (got.init, got.predict, got.recipe) == (want.init, want.predict, want.recipe)
    with pytest.raises(QuantizationError, match="those of another net"):
        quantize(*pair("resnet_eighth"), statistics=want.statistics)
    with pytest.raises(ArgumentError, match="data or statistics"):
        quantize(*pair("digits24"))


def test_saved_files(tmp_path):
    result = quantize(*pair("digits24"), load("digits24/train.npz", "data")[:32], preset="fast")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recipe.json").write_text("old")
    result.save(tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["init_net.pb", "predict_net.pb", "recipe.json"]
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert recipe["version"] == 2
    assert recipe["calibration"]["samples"] == 32
    assert recipe["blobs"]["65"]["operator"] == "Int8ConvRelu"
    assert load_net(tmp_path / "out" / "predict_net.pb") == result.predict


# ---- single layers --------------------------------------------------------------------------------------------------

X, W, B = random(4, 3, 8, 8), random(4, 3, 3, 3, seed=1), random(4, seed=2)


def near(ops, feeds, least=30.0, **weights):
    """The types of the int8 net, once it is near to the float one."""
    float_net = nets_of(ops, inputs=tuple(feeds), **weights)
    result = quantize(*float_net, feeds)
    want, got = outputs(*float_net, **feeds), outputs(result.init, result.predict, **feeds)
    assert sqnr(want["y"], got["y"]) > least
    return types(result)


def test_columns_of_an_fc_follow_the_layout():
    fc = core.CreateOperator("FC", ["h", "v", "c"], ["y"])
    weights = {"w": W, "c": B, "v": random(4, 4 * 36, seed=3)}
    kinds = near([conv("x", "h", "w", "c"), fc], {"x": X}, **weights)
    assert kinds == ["NCHW2NHWC", "Int8Quantize", "Int8Conv", "Int8FC"]
    flat = [conv("x", "h0", "w", "c"), core.CreateOperator("Flatten", ["h0"], ["h"]), fc]
    assert near(flat, {"x": X}, **weights) == kinds
    reshape = core.CreateOperator("Reshape", ["h0"], ["h", "shape"], shape=[0, -1])
    assert near([flat[0], reshape, fc], {"x": X}, **weights) == kinds
    last = X.transpose(0, 2, 3, 1)
    weights["w"] = W.transpose(0, 2, 3, 1)
    kinds = near([conv("x", "h", "w", "c", order="NHWC"), fc], {"x": last}, **weights)
    assert kinds == ["Int8Quantize", "Int8Conv", "Int8FC"]


def test_an_fc_that_only_floats_read_gives_floats():
    """Its output is not rounded once more; where an int8 operator reads it too, it is."""
    fc = core.CreateOperator("FC", ["x", "v", "c"], ["h"])
    x, weights = random(50, 7), {"v": random(4, 7), "c": B}
    ends = [core.CreateOperator("Softmax", ["h"], ["y"])], [core.CreateOperator("FC", ["h", "u", "c"], ["y"])]
    made = [near([fc, *end], {"x": x}, **weights, u=random(4, 4)) for end in ends]
    assert made == [["Int8Quantize", "Int8FC", "Softmax"], ["Int8Quantize", "Int8FC", "Int8FC"]]
    nets = nets_of([fc, core.CreateOperator("Copy", ["h"], ["y"])], **weights)
    result = quantize(*nets, x, preset="fast")
    q = load_net(result.init)
    weight = next(op for op in q.op if op.type == "Int8GivenTensorFill")
    args = {a.name: a for a in weight.arg}
    stored = np.frombuffer(args["values"].s, np.uint8).reshape(4, 7).astype(np.int64) - 128
    params = result.recipe["blobs"]["x"]
    rounded = np.clip(np.rint(x / params["scale"]) + params["zero_point"], 0, 255) - params["zero_point"]
    want = (rounded @ stored.T) * params["scale"] * args["Y_scale"].f + B
    np.testing.assert_allclose(outputs(result.init, result.predict, x=x)["y"], want, rtol=0, atol=2e-5)


def test_a_flattened_image_that_is_needed_in_float():
    ops = [
        conv("x", "h0", "w"),
        core.CreateOperator("Flatten", ["h0"], ["h"]),
        core.CreateOperator("FC", ["h", "v", "c"], ["f"]),
        core.CreateOperator("FC", ["h", "u", "c"], ["g"]),
        core.CreateOperator("Sum", ["f", "g"], ["y"]),
    ]
    kinds = near(ops, {"x": X}, w=W, c=B, v=random(4, 144, seed=3), u=random(4, 144, seed=4))
    assert kinds.count("Int8FC") == 2
    assert kinds[-2:] == ["Int8Sum", "Int8Dequantize"]
    kinds = near([*ops[:2], core.CreateOperator("Tanh", ["h"], ["y"])], {"x": X}, w=W)
    assert kinds[-4:] == ["Int8Dequantize", "NHWC2NCHW", "Flatten", "Tanh"]


@pytest.mark.parametrize(("type", "args"), [("Relu", {}), ("Clip", {"min": 0.0, "max": 1.5}), ("ReluN", {"n": 1.5})])
def test_activations_fuse(type, args):
    act = core.CreateOperator(type, ["h"], ["y"], **args)
    assert "Int8ConvRelu" in near([conv("x", "h", "w", "c"), act], {"x": X}, w=W, c=B)
    fc = core.CreateOperator("FC", ["x", "v", "c"], ["h"])
    assert "Int8FCRelu" in near([fc, act], {"x": random(9, 7)}, v=random(4, 7), c=B)


def test_activations_that_do_not_fuse():
    below = core.CreateOperator("Clip", ["h"], ["y"], min=-1.0, max=1.0)
    assert near([conv("x", "h", "w"), below], {"x": X}, w=W)[-3:] == ["Int8Concat", "Int8Dequantize", "NHWC2NCHW"]
    twice = [
        conv("x", "h", "w"),
        core.CreateOperator("Relu", ["h"], ["i"]),
        core.CreateOperator("Sum", ["h", "i"], ["y"]),
    ]
    assert near(twice, {"x": X}, w=W)[2:5] == ["Int8Conv", "Int8Relu", "Int8Sum"]


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(axis):
    ops = [
        conv("x", "h", "w"),
        conv("x", "i", "w"),
        core.CreateOperator("Concat", ["h", "i"], ["y", "split"], axis=axis),
    ]
    assert near(ops, {"x": X}, w=W)[4] == "Int8Concat"


@pytest.mark.parametrize("type", ["MaxPool", "AveragePool"])
def test_pools(type):
    ops = [conv("x", "h", "w"), core.CreateOperator(type, ["h"], ["y"], kernel=2, stride=2)]
    assert near(ops, {"x": X}, w=W)[3] == f"Int8{type}"


@pytest.mark.filterwarnings("ignore:.*stays float")
def test_operators_of_ones_own_stay_float():
    @serverquant.register("HalveInFloat", replace=True)
    def halve(x):
        return x / f32(2)

    own = core.CreateOperator("HalveInFloat", ["h"], ["i"])
    kinds = near([conv("x", "h", "w"), own, conv("i", "y", "v")], {"x": X}, w=W, v=random(2, 4, 3, 3))
    assert kinds[2:7] == ["Int8Conv", "Int8Dequantize", "NHWC2NCHW", "HalveInFloat", "NCHW2NHWC"]


def fills(result):
    """Int8 weights, signed, by name."""
    found = {}
    for op in result.init.op:
        args = {a.name: a for a in op.arg}
        if op.type == "Int8GivenTensorFill":
            assert args["Y_zero_point"].i == 128
            shape = list(args["shape"].ints)
            found[op.output[0]] = np.frombuffer(args["values"].s, np.uint8).reshape(shape).astype(int) - 128
    return found


def worst_product(weight):
    """The largest magnitude that a pair of neighbours along K reaches with inputs of 0 to 255."""
    rows = weight.reshape(len(weight), -1)
    worst = 0
    for row in rows:
        for i in range(0, len(row), 2):
            pair = row[i : i + 2]
            worst = max(worst, 255 * pair[pair > 0].sum(), -255 * pair[pair < 0].sum())
    return worst


def test_pair_safe_weights_fit_int16():
    nets = nets_of([conv("x", "y", "w")], w=W)
    assert worst_product(fills(quantize(*nets, X))["w_int8"]) > 32767
    safe = quantize(*nets, X, pair_safe=True)
    assert worst_product(fills(safe)["w_int8"]) <= 32767
    assert sqnr(outputs(*nets, x=X)["y"], outputs(safe.init, safe.predict, x=X)["y"]) > 30
    kinds = quantize(*nets, X, pair_safe=True, weights="p99")
    assert worst_product(fills(kinds)["w_int8"]) <= 32767


def test_depthwise_weights_are_always_pair_safe():
    x, w = random(2, 8, 9, 9), random(8, 1, 3, 3, seed=5)
    result = quantize(*nets_of([conv("x", "y", "w", group=8, pad=1)], w=w), x)
    assert worst_product(fills(result)["w_int8"]) <= 32767
    several = quantize(
        *nets_of([conv("x", "h", "v"), conv("h", "y", "w", group=8)], v=random(8, 8, 3, 3), w=random(16, 1, 3, 3)), x
    )
    assert several.recipe["float"] == {
        "y": "Conv: Caffe2 is wrong about depthwise convolutions of several outputs a channel"
    }


def test_dilations_that_caffe2_forgets_stay_float():
    x, w = random(2, 8, 9, 9), random(8, 8, 3, 3, seed=5)
    for dilation, least in (({"dilation": 2}, False), ({"dilations": [1, 2]}, False), ({}, True)):
        ops = [conv("x", "h", "w"), conv("h", "y", "w", **dilation)]
        assert (near(ops, {"x": x}, w=w).count("Int8Conv") == 2) == least


# ---- refusals -------------------------------------------------------------------------------------------------------


def test_bad_data_is_refused():
    nets = nets_of([conv("x", "y", "w")], w=W)
    for data, error, match in [
        (np.zeros((0, 3, 8, 8), f32), QuantizationError, "no calibration data"),
        ([], QuantizationError, "no calibration data"),
        ({"z": X}, ArgumentError, "lacks the input x; it has z"),
        (7, ArgumentError, "not int"),
        (X * f32(np.nan), QuantizationError, 'values of "x" infinite or NaN'),
        ("missing.txt", ArgumentError, ".npz or .npy"),
    ]:
        with pytest.raises(error, match=match):
            quantize(*nets, data)
    with pytest.raises(ArgumentError, match="method is 'best'"):
        quantize(*nets, X, method="best")
    with pytest.raises(QuantizationError, match="nothing in net"):
        quantize(*nets_of([core.CreateOperator("Abs", ["x"], ["y"])]), X)
    with pytest.raises(QuantizationError, match="quantized already"):
        quantize(*pair("digits24_int8_fixed"), load("digits24/inputs.npz", "data"))


@pytest.mark.filterwarnings("ignore::serverquant.CalibrationWarning")
def test_constant_data_gives_a_net_that_runs():
    nets = nets_of([conv("x", "y", "w", "c")], w=W, c=B)
    result = quantize(*nets, np.zeros_like(X))
    got = outputs(result.init, result.predict, x=np.zeros_like(X))["y"]
    np.testing.assert_allclose(got, outputs(*nets, x=np.zeros_like(X))["y"], atol=0.02)


# ---- data, calibration, comparison ----------------------------------------------------------------------------------


def test_batches(tmp_path):
    a, b = random(5, 2), random(5, 3)
    np.savez(tmp_path / "two.npz", a=a, b=b, labels=np.arange(5))
    np.save(tmp_path / "one.npy", a)
    assert [len(f["a"]) for f in batches({"a": a, "b": b}, ["a", "b"], 2)] == [2, 2, 1]
    assert [sorted(f) for f in batches(str(tmp_path / "two.npz"), ["a", "b"], 9)] == [["a", "b"]]
    assert [len(f["x"]) for f in batches(tmp_path / "one.npy", ["x"], 3)] == [3, 2]
    assert len(list(batches({"a": a, "b": b[:4]}, ["a", "b"], 2))) == 1  # lengths that differ are one run
    with pytest.raises(ArgumentError, match="by name"):
        list(batches([a], ["a", "b"]))


def test_statistics_of_calibration():
    ops = [core.CreateOperator("Relu", ["x"], ["h"]), core.CreateOperator("Relu", ["h"], ["h"])]
    found = calibrate(*nets_of([*ops, core.CreateOperator("Sum", ["x", "h"], ["y"])]), X)
    assert found.samples == 4
    assert {"x", "h", "h_2", "y"} == set(found.blobs)
    assert found.blobs["x"].histogram.total == X.size
    assert found.blobs["x"].histogram.lo == X.min()
    np.testing.assert_array_equal(found.blobs["x"].maxima, np.abs(X).max(axis=(0, 2, 3)))


def test_compare():
    images = load("digits24/inputs.npz", "data")[:100]
    found = {d.blob: d for d in compare(pair("digits24"), pair("digits24_int8_fixed"), images)}
    assert found["65"].other == "65_int8"
    assert found["65"].sqnr > 30
    assert found["65"].cosine > 0.999
    same = compare(pair("digits24"), pair("digits24"), images)
    assert all(d.sqnr == np.inf and d.largest == 0 for d in same)
    assert (same[-1].top1, same[-1].rows) == (1.0, 100)
    low, high = same[-1].interval()
    assert 0.96 < low < high <= 1.0
