"""Differences of two nets: accumulated, alone, and as Caffe2 reports them."""

from __future__ import annotations

import math

import measured
import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, random

import serverquant
from serverquant import core
from serverquant._base.errors import NetError
from serverquant.qparams import QParams, dequantize, quantize
from serverquant.quantization.compare import Difference, compare

f32 = np.float32
IMAGES = np.load(NETS / "digits24" / "inputs.npz")["data"]


def pair(name):
    return NETS / name / "init_net.pb", NETS / name / "predict_net.pb"


def by_blob(*args, **kwargs):
    return {d.blob: d for d in compare(*args, **kwargs)}


# ---- sums -----------------------------------------------------------------------------------------------------------


def test_sums_are_those_of_the_definition():
    a, b = random(40_000, 2), random(40_000, 2, seed=1)
    found = Difference("a", "b")
    for begin in range(0, len(a), 7_000):
        found.add(a[begin : begin + 7_000], b[begin : begin + 7_000])
    x, y = np.float64(a), np.float64(b)
    noise = ((x - y) ** 2).sum() / (x * x).sum()
    assert found.sqnr == pytest.approx(-10 * math.log10(noise))
    assert found.relative == pytest.approx(math.sqrt(noise))
    assert found.cosine == pytest.approx((x * y).sum() / math.sqrt((x * x).sum() * (y * y).sum()))
    assert found.largest == np.abs(x - y).max()
    assert (found.agree, found.rows) == ((a.argmax(1) == b.argmax(1)).sum(), 40_000)


def test_nothing_and_no_difference():
    found = Difference("a", "b")
    found.add(np.zeros((0, 3), f32), np.zeros((0, 3), f32))
    assert (found.sqnr, found.relative, found.cosine, found.top1, found.interval()) == (math.inf, 0, 1, None, None)
    found.add(np.zeros((2, 1), f32), np.ones((2, 1), f32))
    assert (found.sqnr, found.relative, found.cosine, found.largest) == (-math.inf, math.inf, 0, 1)


@pytest.mark.parametrize("a", [1.0, np.inf, np.nan])
def test_values_that_are_not_finite(a):
    found = Difference("a", "b")
    found.add(f32([[a, 1]]), f32([[np.inf, 1]]))
    found.add(f32([[1, 1]]), f32([[1, 1]]))
    numbers = found.numbers()
    assert [numbers[key] for key in ("sqnr", "cosine", "largest")] == [None, None, None]


# ---- alone ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["fixed", "float", "packed", "plain"])
def test_alone_and_accumulated(form):
    found = by_blob(pair("digits24"), pair(f"digits24_int8_{form}"), IMAGES[:32])
    assert list(found)[:2] == ["data", "65"]
    for name in ("data", "65"):  # nothing is before them but the input's quantization
        assert found[name].alone.sqnr == found[name].sqnr
    deep = [d for name, d in found.items() if name not in ("data", "65")]
    assert len(deep) == 14
    assert all(d.alone.sqnr > d.sqnr + 0.5 for d in deep)
    assert found["out"].alone.rows == found["out"].rows == 32


def test_alone_is_the_operator_on_the_float_values():
    """An Int8Conv in the middle of a net, by hand: its float input quantized, it, dequantized, from NHWC to NCHW."""
    w, v = random(6, 3, 3, 3, seed=1), random(5, 6, 3, 3, seed=2)
    x = random(4, 3, 9, 9)
    float_net = nets_of([conv("x", "h", "w"), conv("h", "y", "v")], w=w, v=v)
    made = serverquant.quantize(*float_net, x, preset="fast")
    got = by_blob(float_net, (made.init, made.predict), x)["y"].alone
    with serverquant.load(*float_net, keep_blobs=True) as run:
        want = run(x)["y"]
        h = run.fetch("h").transpose(0, 2, 3, 1)
    seen = made.recipe["blobs"]["h"]
    op = next(op for op in made.predict.op if op.output[0] == "y_int8")
    alone = type(made.predict)(name="one", op=[op])
    with serverquant.load(made.init, alone) as run:
        params = QParams(seen["scale"], seen["zero_point"])
        fed = serverquant.Int8(quantize(h, params), params.scale, params.zero_point)
        y = run({"h_int8": fed})["y_int8"]
    want_alone = Difference("y", "y_int8")
    want_alone.add(want, dequantize(y.data, QParams(y.scale, y.zero_point)).transpose(0, 3, 1, 2))
    assert (got.sqnr, got.largest) == (want_alone.sqnr, want_alone.largest)
    assert 20 < got.sqnr < 60


def test_the_batch_makes_no_difference():
    nets = pair("digits24"), pair("digits24_int8_fixed")
    for whole, cut in zip(compare(*nets, IMAGES[:24], batch=24), compare(*nets, IMAGES[:24], batch=7)):
        assert whole.alone.sqnr == pytest.approx(cut.alone.sqnr, rel=1e-9)
        assert (whole.largest, whole.agree) == (cut.largest, cut.agree)


def test_operators_that_stay_float_are_exact_alone():
    ops = [conv("x", "h", "w"), core.CreateOperator("Tanh", ["h"], ["i"]), conv("i", "y", "v")]
    nets = nets_of(ops, w=random(4, 3, 3, 3), v=random(2, 4, 3, 3))
    made = serverquant.quantize(*nets, random(2, 3, 8, 8))
    found = by_blob(nets, (made.init, made.predict), random(2, 3, 8, 8))
    assert found["i"].other == "i_int8"  # the quantized one: Tanh's own value is exact
    assert found["i"].alone.sqnr > found["i"].sqnr
    floats = nets_of(ops, w=random(4, 3, 3, 3) * f32(1.01), v=random(2, 4, 3, 3))
    found = by_blob(nets, floats, random(2, 3, 8, 8))
    assert found["h"].relative == pytest.approx(0.01, rel=1e-3)
    assert found["i"].alone.largest == found["y"].alone.largest == 0
    assert found["y"].largest > 0


def test_blobs_that_are_written_twice():
    """In place: the last value is the one that other nets have under that name."""
    ops = [conv("x", "h", "w"), core.CreateOperator("Relu", ["h"], ["h"]), core.CreateOperator("Relu", ["h"], ["y"])]
    one, other = nets_of(ops, w=random(4, 3, 3, 3)), nets_of(ops, w=random(4, 3, 3, 3) * f32(1.25))
    found = by_blob(one, other, random(2, 3, 8, 8))
    assert found["h"].alone.relative == pytest.approx(0.25)
    assert found["y"].alone.largest == 0
    assert found["y"].largest > 0


def test_what_cannot_run_alone_is_left_out():
    given = [core.CreateOperator("Relu", ["x"], ["h"]), core.CreateOperator("UniformFill", [], ["r"], shape=[2])]
    ops = [*given, core.CreateOperator("Add", ["h", "r"], ["i"]), core.CreateOperator("Abs", ["i"], ["y"])]
    found = by_blob(nets_of(ops), nets_of(ops), random(3, 2))
    assert found["h"].alone.largest == 0
    assert found["r"].alone is None
    assert found["y"].alone.largest == found["i"].alone.largest == 0
    scatter = [
        core.CreateOperator("Relu", ["x"], ["h"]),
        core.CreateOperator("Copy", ["h"], ["c"]),
        core.CreateOperator("ScatterAssign", ["c", "i", "s"], ["c"]),
        core.CreateOperator("Abs", ["c"], ["y"]),
    ]
    feeds = {"x": random(3, 2), "i": np.int64([1]), "s": random(1, 2)}
    net = nets_of(scatter, inputs=("x", "i", "s"))
    found = by_blob(net, net, [feeds])
    assert found["c"].alone is None
    assert found["y"].alone.largest == 0


def test_nets_with_nothing_in_common():
    with pytest.raises(NetError, match="no blob in common"):
        compare(
            nets_of([core.CreateOperator("Abs", ["x"], ["y"])]),
            nets_of([core.CreateOperator("Abs", ["x"], ["z"])], outputs=("z",)),
            random(2, 2),
        )


# ---- Caffe2's measure_quantization_error ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", measured.CASES, ids=lambda case: case.name)
def test_equals_what_caffe2_reports(case):
    """Numbers that Caffe2 1.8.1 logged: six digits of sums in single precision."""
    alone = by_blob(case.float_net(), case.int8_net(), [case.feeds()])["y"].alone
    assert (alone.relative, alone.largest) == (pytest.approx(case.relative, 2e-5), pytest.approx(case.largest, 2e-5))


@pytest.mark.oracle
@pytest.mark.parametrize("case", measured.CASES, ids=lambda case: case.name)
def test_caffe2_reports_it_still(case, tmp_path):
    assert measured.ask_caffe2(case, tmp_path) == pytest.approx((case.relative, case.largest), 1e-5)
