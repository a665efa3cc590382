"""Activations and weights of other widths than 8 bits: parameters, what is written, what comes out, what is refused."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import families
import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, outputs, random, three_layers

import serverquant
from serverquant import core
from serverquant._base.errors import ArgumentError
from serverquant.blobs.store import Int8
from serverquant.cli import main
from serverquant.qparams import DEFAULTS, QParams, choose, choose_from_histogram, choose_weight
from serverquant.quantization.emit import weights as stored
from serverquant.quantization.emit.forms import WIDE
from serverquant.quantization.ptq import Settings, choose_params, quantize
from serverquant.quantization.report import text
from serverquant.quantization.rules import Rule, read_override
from serverquant.quantization.statistics import BlobStatistics, Statistics
from serverquant.runtime import registry

f32 = np.float32
DIGITS = [NETS / "digits24" / f for f in ("init_net.pb", "predict_net.pb")]
IMAGES = np.load(NETS / "digits24" / "inputs.npz")["data"][:64]
ROWS = random(60, 6, seed=10)
W, V = random(8, 3, 3, 3, seed=1) / 5, random(8, 8, 3, 3, seed=2) / 9


def rows_net():
    """Three layers, a Relu behind two of them."""
    weights = {"w1": random(10, 6) / 2, "w2": random(8, 10, seed=1) / 3, "w3": random(6, 8, seed=2)}
    return three_layers(**weights, b1=random(10, seed=4), b2=random(8, seed=5), b3=random(6, seed=6))


def image_net():
    """Two Convs with a Relu, a Sum, a MaxPool, an AveragePool and an FC."""
    ops = [
        conv("x", "h", "w", pad=1),
        core.CreateOperator("Relu", ["h"], ["i"]),
        conv("i", "j", "v", pad=1),
        core.CreateOperator("Sum", ["i", "j"], ["s"]),
        core.CreateOperator("Relu", ["s"], ["t"]),
        core.CreateOperator("MaxPool", ["t"], ["m"], kernel=2, stride=2),
        core.CreateOperator("AveragePool", ["m"], ["a"], global_pooling=1),
        core.CreateOperator("FC", ["a", "fw", "fb"], ["y"]),
    ]
    return nets_of(ops, w=W, v=V, fw=random(5, 8, seed=7), fb=random(5, seed=8))


X = random(16, 3, 8, 8)
CHANNEL = {"granularity": "channel", "target": "serverquant"}


def sqnr(want, got):
    return 10 * np.log10((want**2).sum() / ((want - got) ** 2).sum())


def blobs(made, feeds):
    """By float blob, the Int8 tensor that the int8 net makes of it."""
    with serverquant.load(made.init, made.predict, keep_blobs=True) as run:
        run(feeds)
        return {name: run.fetch(entry["int8"]) for name, entry in made.recipe["blobs"].items()}


def engines(made):
    return Counter(op.engine for op in made.predict.op if op.engine)


# ---- parameters -----------------------------------------------------------------------------------------------------


CHOICES = itertools.product(("min_max", "p99", "l2", "l2_approx", "l1", "kl"), (False, True), (2, 4, 6, 8, 11, 16))


# kl takes seconds otherwise
@pytest.mark.parametrize(("method", "symmetric", "bits"), [c for c in CHOICES if c[0] != "kl" or (c[1] and c[2] < 9)])
def test_parameters_are_those_of_the_histogram(method, symmetric, bits):
    """What tests/qparams compares with Caffe2's: of a calibration's histogram, with all three settings."""
    seen = BlobStatistics()
    seen.add(random(5000, 1, seed=3) + f32(0.3))
    known = Statistics("")
    known.blobs["x"] = seen
    for power_of_two in (False, True):
        settings = Settings(
            method=method,
            activation_bits=bits,
            activations="symmetric" if symmetric else "asymmetric",
            power_of_two=power_of_two,
        )
        got = choose_params(known, "x", settings)
        exact = seen.histogram.lo, seen.histogram.hi
        if method == "min_max":
            want = choose(*exact, bits, symmetric, power_of_two)
        else:
            defaults = DEFAULTS._replace(precision=bits, symmetric=symmetric, power_of_two=power_of_two)
            want = choose_from_histogram(seen.histogram.histogram(), method, bits, symmetric, defaults)
        assert got == want
        assert got.precision == bits
        if symmetric:
            assert got.zero_point == 1 << (bits - 1)
        if power_of_two:
            assert np.frexp(got.scale)[0] == 0.5


@pytest.mark.parametrize("kind", ["min_max", "kl", "l2", "search"])
@pytest.mark.parametrize("bits", [2, 5, 8, 10])
def test_weights_are_symmetric_whatever_the_kind(kind, bits):
    """kl too, which is Caffe2's only kind that takes its bits from elsewhere."""
    value = random(40, 30, seed=1)
    params = stored.weight_params(value, kind, bits)
    assert (params.precision, params.zero_point) == (bits, 1 << (bits - 1))
    assert 1 < np.abs(value).max() / params.scale / (1 << (bits - 1)) * 2 < 4 or kind != "kl"
    assert params.scale * (1 << (bits - 1)) > np.abs(value).max() * 0.3


@pytest.mark.parametrize(("kind", "bits"), [("min_max", 4), ("min_max", 8), ("min_max", 13), ("l2", 9), ("kl", 4)])
def test_asymmetric_weights(kind, bits):
    """The parameters that Caffe2 gives weights by itself: worth a bit where all have nearly one sign."""
    init, predict = rows_net()
    for op in init.op:
        if op.output[0][0] == "w":
            values = op.arg[1].floats
            values[:] = [value + 3 * max(abs(v) for v in values) / 4 for value in values]
    off = {}
    for symmetric in (True, False):
        settings = {"weights": kind, "weight_bits": bits, "symmetric_weights": symmetric, "activation_bits": 11}
        made = quantize(init, predict, {"x": ROWS}, preset="fast", **settings)
        off[symmetric] = sqnr(outputs(init, predict, x=ROWS)["y"], outputs(made.init, made.predict, x=ROWS)["y"])
        with serverquant.load(made.init, made.predict) as run:
            weight = run.fetch(next(op for op in made.predict.op if op.output[0] == "r1_int8").input[1])
    value = serverquant.load(init, predict).fetch("w3")
    want = choose_weight(value, kind, bits, defaults=DEFAULTS._replace(precision=bits))
    assert made.recipe["weights"]["y"] == {"bits": bits, "scale": want.scale}
    assert weight.zero_point != 1 << (bits - 1)
    if kind == "min_max":
        assert (weight.data.min(), weight.data.max()) == (0, (1 << bits) - 1)
        assert off[False] > off[True] + 2 or bits > 8  # where the activations decide


# ---- up to 8 bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 7])
@pytest.mark.parametrize("nets", [rows_net, image_net])
def test_no_level_is_beyond_the_last(nets, bits):
    """On data twice as large as those of the calibration too; and the next operators read bytes."""
    data = {"x": ROWS if nets is rows_net else X}
    made = quantize(*nets(), data, activation_bits=bits, preset="fast")
    assert set(engines(made)) == {"DNNLOWP"}
    for name, tensor in blobs(made, {"x": f32(2) * data["x"]}).items():
        assert tensor.data.dtype == np.uint8
        assert tensor.data.max() == 2**bits - 1, name
        assert made.recipe["blobs"][name]["bits"] == bits


def test_each_bit_is_worth_six_decibels():
    nets, off = rows_net(), {}
    for bits in (3, 4, 6, 8, 10, 12):
        made = quantize(*nets, {"x": ROWS}, activation_bits=bits, weight_bits=min(bits + 3, 14), preset="fast")
        off[bits] = sqnr(outputs(*nets, x=ROWS)["y"], outputs(made.init, made.predict, x=ROWS)["y"])
    gains = [(off[b] - off[a]) / (b - a) for a, b in zip(off, list(off)[1:])]
    assert np.mean(gains) == pytest.approx(6.02, abs=0.6)
    assert min(gains) > 3.5


@pytest.mark.filterwarnings("ignore::serverquant.GainWarning")
@pytest.mark.parametrize("bits", [4, 12])
def test_nothing_depends_on_which_blobs_are_kept(bits):
    """Planned nets fuse."""
    made = quantize(*DIGITS, IMAGES, activation_bits=bits, preset="fast")
    found = []
    for keep in (False, True):
        with serverquant.load(made.init, made.predict, keep_blobs=keep) as run:
            found.append(next(iter(run({"data": IMAGES}).values())))
    np.testing.assert_array_equal(*found)


def test_what_fuses_ends_at_the_limit():
    """A Clip behind a Conv, which its scale cuts off at the top."""
    ops = [
        conv("x", "h", "w"),
        core.CreateOperator("Clip", ["h"], ["i"], min=0.0, max=0.75),
        core.CreateOperator("Conv", ["i", "v"], ["y"], kernel=1),
    ]
    nets = nets_of(ops, outputs=("i", "y"), w=W, v=random(5, 8, 1, 1, seed=3))
    for bits in (3, 8, 13):
        made = quantize(*nets, {"x": X}, activation_bits=bits, preset="fast")
        got = outputs(made.init, made.predict, x=X)["i"]
        assert (got.min(), got.max()) == (0, pytest.approx(0.75, abs=1e-7))
        assert len(np.unique(got)) <= 2**bits


def test_weights_need_no_room_for_pairs_of_fewer_bits():
    """Sums of two products of 7 and 8 bits fit int16, in Caffe2's depthwise kernel and on CPUs without VNNI."""
    made = {b: quantize(*rows_net(), {"x": ROWS}, pair_safe=True, preset="fast", activation_bits=b) for b in (7, 8)}
    plain = quantize(*rows_net(), {"x": ROWS}, preset="fast", activation_bits=7)
    assert made[7].recipe["weights"] == plain.recipe["weights"]
    assert made[8].recipe["weights"]["f1"]["scale"] > plain.recipe["weights"]["f1"]["scale"]
    assert stored.pair_room(255) == 128
    assert 2 * 127 * 128 < 2**15 <= 2 * 255 * 128


# ---- more than 8 bits -----------------------------------------------------------------------------------------------


def test_sixteen_bits():
    made = quantize(*image_net(), {"x": X}, activation_bits=16, weight_bits=12, preset="fast")
    assert engines(made) == {WIDE: 7}
    types = [op.type for op in made.predict.op if op.engine]
    assert types == ["Quantize", "Conv", "Conv", "Sum", "MaxPool", "AveragePool", "FC"]
    assert made.recipe["float"] == {}
    for tensor in blobs(made, {"x": X}).values():
        assert tensor.data.dtype == np.uint16
        assert tensor.data.max() > 60000
    assert sqnr(outputs(*image_net(), x=X)["y"], outputs(made.init, made.predict, x=X)["y"]) > 55


def test_weights_alone_may_have_more():
    """Activations of 8 bits stay so, whatever holds them."""
    made = quantize(*image_net(), {"x": X}, weight_bits=14, preset="fast")
    assert set(engines(made)) == {WIDE}
    assert {entry["bits"] for entry in made.recipe["blobs"].values()} == {8}
    assert {entry["bits"] for entry in made.recipe["weights"].values()} == {14}
    assert all(tensor.data.max() <= 255 for tensor in blobs(made, {"x": X}).values())
    plain = quantize(*image_net(), {"x": X}, preset="fast")
    want = outputs(*image_net(), x=X)["y"]
    off = [sqnr(want, outputs(m.init, m.predict, x=X)["y"]) for m in (made, plain)]
    assert off[0] > off[1]


@pytest.mark.parametrize("bits", [10, 16])
@pytest.mark.parametrize("k", [3, 200, 3000])
def test_no_sum_leaves_int32(bits, k):
    """For no input that there can be, bias and all; the scale of the weights grows where it must."""
    x, rule = QParams(1e-3, 1 << (bits - 2), bits), Rule(weight_bits=bits, activation_bits=bits)
    value, bias = random(7, k, seed=k), random(7, seed=1) * 5
    levels, params = stored.of_words(value, rule, x, bias, centred=True)
    w = levels.astype(np.int64) - params.zero_point
    ends = np.array([-x.zero_point, x.qmax - x.zero_point])
    added = np.rint(bias / (x.scale * params.scale)).astype(np.int64)
    for worst in (np.where(w > 0, *ends[::-1]), np.where(w > 0, *ends)):
        assert np.abs((worst * w).sum(1) + added).max() < 2**31
    free = stored.weight_params(value, "min_max", bits).scale
    assert (params.scale > free) == (bits == 16 and k > 3)


def test_operators_without_a_form_stay_float_and_say_so():
    case = families.CASES["sigmoid"]
    made = quantize(*case.nets, case.feeds, activation_bits=9, preset="fast")
    assert made.recipe["float"] == {"i": "Sigmoid: it has no form with more than 8 bits"}
    assert [op.type for op in made.predict.op].count("Dequantize") == 2
    assert set(engines(made)) == {WIDE}


def test_the_registry_is_asked(monkeypatch):
    known = registry.operator_class
    monkeypatch.setattr(registry, "operator_class", lambda t, e="": None if (t, e) == ("Sum", WIDE) else known(t, e))
    made = quantize(*image_net(), {"x": X}, activation_bits=12, preset="fast")
    assert made.recipe["float"]["s"] == f"Sum: the runtime has no Sum of engine {WIDE}"
    assert "Sum DNNLOWP_16" not in {entry["operator"] for entry in made.recipe["blobs"].values()}


def test_products_that_could_leave_int32_stay_float():
    ops = [core.CreateOperator("FC", ["x", f"w{n}", "b"], [n], axis=2) for n in "qk"]
    ops.append(core.CreateOperator("BatchMatMul", ["q", "k"], ["y"], trans_b=1))
    nets = nets_of(ops, b=np.zeros(6), **{f"w{n}": random(6, 6, seed=i) for i, n in enumerate("qk")})
    x = random(3, 5, 6, seed=9)
    for bits, stays in ((14, False), (15, True)):  # 6 products of twice so many bits
        made = quantize(*nets, {"x": x}, activation_bits=bits, preset="fast")
        assert ("y" in made.recipe["float"]) == stays
    assert made.recipe["float"]["y"] == "BatchMatMul: its sums could leave int32 with so many bits"


def test_dynamic_layers():
    """They read floats, with so many bits."""
    want = outputs(*rows_net(), x=ROWS)["y"]
    off = {}
    for bits in (4, 8, 12):
        every = {"*": {"dynamic": True}}
        made = quantize(*rows_net(), {"x": ROWS}, activation_bits=bits, weight_bits=12, preset="fast", overrides=every)
        off[bits] = sqnr(want, outputs(made.init, made.predict, x=ROWS)["y"])
        assert made.recipe["blobs"] == {}
    assert off[12] > off[8] + 15 > off[4] + 30


def test_what_cannot_be_dynamic_reads_words_all_the_same():
    overrides = {"x": {"activation_bits": 12}, "*": {"dynamic": True}}
    made = quantize(*image_net(), {"x": X}, preset="fast", overrides=overrides)
    first = next(op for op in made.predict.op if "Conv" in op.type)
    assert (first.type, first.engine, first.input[0]) == ("Conv", WIDE, "x_int8")


def test_weights_that_caffe2_quantizes_are_told_too():
    nets = nets_of([conv("x", "y", "w", group=2)], w=random(8, 4, 3, 3))
    made = quantize(*nets, {"x": random(4, 8, 6, 6)}, granularity="group", preset="fast")
    assert any(arg.name == "quantize_groupwise" for op in made.predict.op for arg in op.arg)
    assert made.recipe["weights"]["y"]["bits"] == 8


# ---- of single operators --------------------------------------------------------------------------------------------


def test_widths_are_mixed():
    """What is between is converted without a loss."""
    overrides = {name: {"activation_bits": bits} for name, bits in (("x", 12), ("i", 5), ("t", 6))}
    made = quantize(*image_net(), {"x": X}, preset="fast", overrides=overrides)
    found = blobs(made, {"x": X})
    assert {n: e["bits"] for n, e in made.recipe["blobs"].items()} == {"x": 12, "i": 5, "j": 8, "t": 6, "m": 6, "a": 8}
    assert (found["x"].data.dtype, found["i"].data.dtype, found["t"].data.dtype) == (np.uint16, np.uint16, np.uint16)
    assert found["j"].data.dtype == np.uint8
    assert found["i"].data.max() == 31
    with serverquant.load(made.init, made.predict, keep_blobs=True) as run:
        run({"x": X})
        narrow = next(op.output[0] for op in made.predict.op if op.type == "Int8Quantize")
        np.testing.assert_array_equal(run.fetch(narrow).data, found["i"].data)
        assert run.fetch(narrow)[1:] == found["i"][1:]


def test_inputs_have_a_width_of_their_own():
    made = quantize(*rows_net(), {"x": ROWS}, activation_bits=4, preset="fast", overrides={"x": {"activation_bits": 8}})
    assert {name: entry["bits"] for name, entry in made.recipe["blobs"].items()} == {"x": 8, "r1": 4, "r2": 4}


def test_tables_have_8_bits():
    """Caffe2's of Sigmoid and Tanh."""
    for name, least in (("sigmoid", {"i": 8}), ("tanh", {"h": 8, "i": 8})):
        case = families.CASES[name]
        made = quantize(*case.nets, case.feeds, activation_bits=5, preset="fast")
        found = {n: e["bits"] for n, e in made.recipe["blobs"].items()}
        assert found == {**dict.fromkeys(found, 5), **least}


@pytest.mark.filterwarnings("ignore::serverquant.GainWarning")
def test_an_operator_of_ones_own_is_cut_too():
    @serverquant.register("TwiceInt8", int8="Int8TwiceInt8")
    def twice(x):
        return 2 * x

    @serverquant.register("Int8TwiceInt8")
    def int8_twice(x, Y_scale=1.0, Y_zero_point=0, order=""):
        value = 2 * x.scale * (f32(x.data) - x.zero_point)
        levels = np.clip(np.rint(value / f32(Y_scale)) + Y_zero_point, 0, 255)
        return Int8(levels.astype(np.uint8), Y_scale, Y_zero_point)

    last = core.CreateOperator("Conv", ["i", "v"], ["y"], kernel=1)
    nets = nets_of([conv("x", "h", "w"), core.CreateOperator("TwiceInt8", ["h"], ["i"]), last], w=W, v=V[:, :, :1, :1])
    made = quantize(*nets, {"x": X}, activation_bits=4, preset="fast")
    assert blobs(made, {"x": 3 * X})["i"].data.max() == 15
    wide = quantize(*nets, {"x": X}, activation_bits=12, preset="fast")
    assert wide.recipe["float"]["i"] == "TwiceInt8: it has no form with more than 8 bits"


# ---- told and kept --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::serverquant.GainWarning")
@pytest.mark.parametrize("bits", [4, 16])
def test_recipe_report_and_corrections(bits, tmp_path):
    settings = {"activation_bits": bits, "weight_bits": bits, "overrides": {"out": {"activation_bits": 8}}}
    want = quantize(*DIGITS, IMAGES, **settings)
    assert want.recipe["corrections"]["bias"]
    want.save(tmp_path)
    got = quantize(*DIGITS, IMAGES, recipe=tmp_path / "recipe.json")
    assert got.recipe == want.recipe
    assert (got.init, got.predict) == (want.init, want.predict)
    report = want.report({"data": IMAGES[:8]})
    assert {entry["bits"] for entry in report.numbers["blobs"] + report.numbers["weights"]} == {bits}
    count = len(report.numbers["blobs"]), len(report.numbers["weights"])
    assert text.bits(report.numbers) == f"activations {bits} ({count[0]}); weights {bits} ({count[1]})"
    assert f"{bits} ({count[0]})" in report.html()
    for entry in report.numbers["weights"]:
        assert entry["range"][0] <= min(entry["lo"]) * 0.999
        assert entry["used"][1] > 0.85 or bits == 16  # sums of 16 bits want wider scales
    for entry in report.numbers["blobs"]:
        assert entry["clipped"] < 0.02


def test_empirical_corrections_help_wide_layers():
    """Which are given their int8 inputs as floats, through Dequantize of their engine."""
    nets, off = rows_net(), {}
    want = outputs(*nets, x=ROWS)["y"].mean(0)
    for bias in ("none", "empirical", "analytic"):
        made = quantize(*nets, {"x": ROWS}, preset="fast", bias=bias, activation_bits=12, weight_bits=4)
        off[bias] = np.abs(outputs(made.init, made.predict, x=ROWS)["y"].mean(0) - want).max()
    assert off["empirical"] < off["none"] / 2
    assert off["analytic"] < off["none"] / 2


def test_a_net_of_words_is_said_to_be_slow():
    with pytest.warns(serverquant.GainWarning, match="more than 8 bits, which are for accuracy alone, are slower"):
        made = quantize(*DIGITS, IMAGES[:8], activation_bits=16, preset="fast")
    assert made.recipe["estimate"]["gain"] < 1


def test_command_line(tmp_path, capsys):
    np.save(tmp_path / "x.npy", IMAGES[:8])
    argv = ["quantize", *map(str, DIGITS), "--data", f"{tmp_path}/x.npy", "--preset", "fast", "--report-samples", "8"]
    more = ["--activation-bits", "6", "--weight-bits", "7", "--override", "out:activation_bits=8,weight_bits=5"]
    more.append("--asymmetric-weights")
    assert main([*argv, "-o", str(tmp_path / "a"), *more]) == 0
    assert "bits     activations 6 " in capsys.readouterr().out
    recipe = json.loads(Path(tmp_path, "a", "recipe.json").read_text())
    assert {entry["bits"] for entry in recipe["blobs"].values()} == {6}
    assert recipe["weights"]["out"]["bits"] == 5
    asked = {"activation_bits": 6, "weight_bits": 7, "symmetric_weights": False}
    assert recipe["settings"].items() >= asked.items()
    for wrong in ("1", "17", "many"):
        with pytest.raises(SystemExit):
            main([*argv, "-o", str(tmp_path / "b"), "--activation-bits", wrong])
        assert "--activation-bits" in capsys.readouterr().err
    assert main([*argv, "-o", str(tmp_path / "b"), "--override", "out:activation_bits=17"]) == 1
    assert "activation_bits is '17'; it must be one of 2, 3," in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_text_of_overrides():
    assert read_override("a:activation_bits=12") == ("a", {"activation_bits": 12})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation_bits": 1}, "activation_bits is 1; it must be one of 2, 3, .*, 16"),
        ({"activation_bits": 17}, "activation_bits is 17; it must be one of 2, 3, .*, 16"),
        ({"activation_bits": "8"}, "activation_bits is '8'; it must be one of 2, 3, .*, 16"),
        ({"activation_bits": 8.0}, "activation_bits is 8.0; it must be one of 2, 3, .*, 16"),
        ({"activation_bits": True}, "activation_bits is True; it must be one of 2, 3, .*, 16"),
        ({"weight_bits": 1}, "weight_bits is 1; it must be one of 2, 3, .*, 16"),
        ({"overrides": {"f1": {"activation_bits": 17}}}, 'override "f1": activation_bits is 17; it must be one of'),
        ({"overrides": {"x": {"weight_bits": 4}}}, 'override "x" says weight_bits of an input of the net'),
        ({"activation_bits": 9, **CHANNEL}, 'granularity "channel" goes with 8 bits at most, and "x" asks for 9'),
        ({"overrides": {"f2": {"weight_bits": 16}}, **CHANNEL}, '"f2" asks for 16'),
        ({"activation_bits": 12, "method": "kl"}, 'method "kl" goes with 11 bits at most, and ".*" asks for 12'),
        ({"weight_bits": 12, "weights": "kl"}, 'weights "kl" goes with 11 bits at most'),
        ({"weight_bits": 13, "weights": "l1"}, 'weights "l1" goes with 12 bits at most'),
        ({"symmetric_weights": False, "weights": "l2", "weight_bits": 13}, 'weights "l2" goes with 12 bits at most'),
        ({"symmetric_weights": 1}, "symmetric_weights is 1; it must be one of True, False"),
        ({"symmetric_weights": False, "pair_safe": True}, "pair_safe goes with symmetric weights alone"),
        ({"symmetric_weights": False, "weights": "search"}, 'weights "search" goes with symmetric weights alone'),
        ({"symmetric_weights": False, **CHANNEL}, "a granularity goes with symmetric weights alone"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ArgumentError, match=message):
        quantize(*rows_net(), {"x": ROWS}, **settings)
