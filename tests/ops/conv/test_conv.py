"""Convolutions against plain numpy, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run
from reference import conv as reference
from reference import gemm

from serverquant._base.errors import (
    ArgumentError,
    DTypeError,
    QuantizationError,
    ServerquantError,
    ShapeError,
    UnknownOperatorError,
)
from serverquant.blobs.store import Int8
from serverquant.qparams import choose, choose_weight, quantize, quantize_bias
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(7)
# channels, outputs, group, kernel, stride, pads, dilation, sizes
SHAPES = {
    "1x1": (5, 7, 1, (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), (4, 5)),
    "3x3": (8, 6, 2, (3, 3), (2, 1), (1, 0, 2, 1), (1, 2), (7, 8)),
    "depthwise": (16, 16, 16, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), (5, 6)),
    "1-D": (4, 8, 1, (3,), (2,), (1, 1), (1,), (9,)),
    "3-D": (4, 4, 2, (2, 3, 1), (1, 2, 1), (0, 1, 0, 1, 0, 0), (1, 1, 1), (3, 5, 2)),
}


class Case:
    """Random uint8 input and weights of one shape, channels last."""

    def __init__(self, name):
        channels, outputs, self.group, kernel, stride, pads, dilation, sizes = SHAPES[name]
        self.x = Int8(RNG.integers(0, 256, (2, *sizes, channels)).astype(np.uint8), np.float32(0.03), 101)
        weights = RNG.integers(0, 256, (outputs, *kernel, channels // self.group)).astype(np.uint8)
        self.w = Int8(weights, np.float32(0.01), 120)
        self.b = RNG.standard_normal(outputs).astype(np.float32)
        self.args = {"kernels": kernel, "strides": stride, "pads": pads, "dilations": dilation, "group": self.group}
        self.window = stride, pads, dilation

    def sums(self, weights, zero_point, bias):
        return reference.sums(self.x.data, weights, *self.window, self.group, self.x.zero_point, zero_point, bias)

    def floats(self):
        """(input, weights) as floats."""
        x, w = ((v.data.astype(np.float32) - v.zero_point) * v.scale for v in (self.x, self.w))
        return x, w


def first(array):
    """Channels first, of an array or an Int8."""
    if isinstance(array, Int8):
        return array._replace(data=first(array.data))
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def int8_reference(case, relu=False, w=None, zw=None, sw=None, bias=None):
    w = case.w.data.astype(np.int16) - 128 if w is None else w
    zw, sw = case.w.zero_point - 128 if zw is None else zw, case.w.scale if sw is None else np.float32(sw)
    bias = quantize_bias(case.b, case.x.scale * sw) if bias is None else bias
    y = choose(0.0, 0.5 * (255 - 90)) if relu else None
    sy, zy = (np.float32(y.scale), y.zero_point) if y else (np.float32(0.5), 90)
    acc = case.sums(w.astype(np.int8), zw, bias)
    return gemm.requant_f32(acc, case.x.scale * sw / sy, zy, zy if relu else 0), sy, zy


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("nhwc", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_int8(name, nhwc, relu):
    case = Case(name)
    op = "Int8ConvRelu" if relu else "Int8Conv"
    x, w = (case.x, case.w) if nhwc else (first(case.x), first(case.w))
    static = {"engine": "DNNLOWP", "order": "NHWC" if nhwc else "NCHW", "Y_scale": 0.5, "Y_zero_point": 90}
    got = run(op, {"X": x, "W": w, "B": case.b}, **static, **case.args)
    want, scale, zero_point = int8_reference(case, relu)
    np.testing.assert_array_equal(got.data, want if nhwc else first(want))
    assert (got.scale, got.zero_point) == (scale, zero_point)


@pytest.mark.parametrize("nhwc", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_float(name, nhwc):
    case = Case(name)
    x, w = case.floats()
    exact = case.sums((case.w.data.astype(np.int16) - 128).astype(np.int8), case.w.zero_point - 128, None)
    want = exact * (float(case.x.scale) * float(case.w.scale)) + case.b
    x, w, want = (x, w, want) if nhwc else (first(x), first(w), first(want))
    padded = {**case.args, "order": "NHWC" if nhwc else "NCHW"}
    # the reference pads with the zero point, which is 0.0 here too
    np.testing.assert_allclose(run("Conv", {"X": x, "W": w, "B": case.b}, **padded), want, rtol=1e-4, atol=1e-3)


def test_outputs_larger_than_caches():
    """32 MB and up are stored past the caches, where lines of the planes allow it."""
    w, bias = RNG.standard_normal((33, 1, 1, 1)).astype(np.float32), RNG.standard_normal(33).astype(np.float32)
    for pixels in ((512, 512), (511, 515)):
        x = RNG.standard_normal((1, 1, *pixels)).astype(np.float32)
        got = run("Conv", {"X": x, "W": w, "B": bias}, kernel=1)
        np.testing.assert_array_equal(got, x * w.reshape(1, 33, 1, 1) + bias[:, None, None])


def test_without_bias_and_with_int32_bias():
    case = Case("3x3")
    static = {"engine": "DNNLOWP", "order": "NHWC", "Y_scale": 0.5, "Y_zero_point": 90, **case.args}
    bias = Int8(np.arange(6, dtype=np.int32) * 100, case.x.scale * case.w.scale, 0)
    for feeds, start in (({}, np.zeros(6, np.int32)), ({"B": bias}, bias.data)):
        got = run("Int8Conv", {"X": case.x, "W": case.w, **feeds}, **static)
        np.testing.assert_array_equal(got.data, int8_reference(case, bias=start)[0])
    for wrong in (bias._replace(scale=0.1), bias._replace(zero_point=1)):
        with pytest.raises(ServerquantError, match="bias has"):
            run("Int8Conv", {"X": case.x, "W": case.w, "B": wrong}, **static)


@pytest.mark.parametrize("groupwise", [False, True])
def test_float_weights_and_packed_ones(groupwise):
    case = Case("3x3")
    w = case.floats()[1] * RNG.random((6, 1, 1, 1)).astype(np.float32)
    parts = np.split(w, 2) if groupwise else [w]
    params = [choose_weight(part, "min_max") for part in parts]
    q = np.concatenate([quantize(part, p) for part, p in zip(parts, params, strict=True)])
    scales = np.repeat([np.float32(p.scale) for p in params], 6 // len(params))
    zeros = np.repeat([p.zero_point for p in params], 6 // len(params))
    bias = np.array([quantize_bias(case.b[i : i + 1], case.x.scale * s)[0] for i, s in enumerate(scales)], np.int32)
    want = gemm.requant_f32(case.sums(q, zeros, bias), case.x.scale * scales / np.float32(0.5), 90)
    common = {"engine": "DNNLOWP", "order": "NHWC", "quantize_groupwise": int(groupwise), **case.args}
    static = {"Y_scale": 0.5, "Y_zero_point": 90, **common}
    np.testing.assert_array_equal(run("Int8Conv", {"X": case.x, "W": w, "B": case.b}, **static).data, want)
    packed = run("Int8ConvPackWeight", {"W": w, "B": case.b}, in_scale=float(case.x.scale), **common)
    np.testing.assert_array_equal(run("Int8Conv", {"X": case.x, "W": packed}, **static).data, want)
    with pytest.raises(QuantizationError, match="both must agree"):
        run("Int8Conv", {"X": case.x, "W": packed}, **{**static, "quantize_groupwise": int(not groupwise)})
    with pytest.raises(ServerquantError, match="kernel"):
        run("Int8Conv", {"X": case.x, "W": packed}, **{**static, "kernels": (2, 3)})


@pytest.mark.parametrize("engine", ["DNNLOWP", "DNNLOWP_ACC16"])
@pytest.mark.parametrize("nhwc", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_weight_scales_are_one_an_output(name, nhwc, engine):
    case = Case(name)
    scales = (0.002 + 0.03 * RNG.random(len(case.b))).astype(np.float32)
    zero = case.w.zero_point - 128
    bias = np.array([quantize_bias(case.b[i : i + 1], case.x.scale * s)[0] for i, s in enumerate(scales)], np.int32)
    acc = case.sums((case.w.data.astype(np.int16) - 128).astype(np.int8), zero, bias)
    want = gemm.requant_f32(acc, case.x.scale * scales / np.float32(0.5), 90)
    x, w = (case.x, case.w) if nhwc else (first(case.x), first(case.w))
    static = {"engine": engine, "order": "NHWC" if nhwc else "NCHW", "Y_scale": 0.5, "Y_zero_point": 90, **case.args}
    got = run("Int8Conv", {"X": x, "W": w, "B": case.b}, weight_scales=scales.tolist(), **static)
    np.testing.assert_array_equal(got.data, want if nhwc else first(want))


def test_wrong_weight_scales():
    case = Case("3x3")
    static = {"engine": "DNNLOWP", "order": "NHWC", "Y_scale": 0.5, "Y_zero_point": 90, **case.args}
    feeds = {"X": case.x, "W": case.w, "B": case.b}
    with pytest.raises(ArgumentError, match=r"5 entries, but weights input 1 .* have 6 outputs"):
        run("Int8Conv", feeds, weight_scales=[0.1] * 5, **static)
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match=r"weight_scales\[1\] must be a positive finite number"):
            run("Int8Conv", feeds, weight_scales=[0.1, wrong, *[0.1] * 4], **static)
    with pytest.raises(ArgumentError, match="goes with Int8 weights"):
        run("Int8Conv", {**feeds, "W": case.floats()[1]}, weight_scales=[0.1] * 6, **static)
    with pytest.raises(ArgumentError, match="weight_scales is for engine DNNLOWP, not DNNLOWP_16"):
        run("Conv", feeds, weight_scales=[0.1] * 6, **{**static, "engine": "DNNLOWP_16"})


def test_dynamic_output_follows_every_run():
    case = Case("3x3")
    w = case.floats()[1]
    space = Workspace()
    net = bind(space, "ConvRelu", {"X": case.x, "W": w, "B": case.b}, engine="DNNLOWP", order="NHWC", **case.args)
    for scale in (0.03, 0.3):
        feed(space, "X", case.x._replace(scale=np.float32(scale)))
        net.run()
        x = (case.x.data.astype(np.float32) - case.x.zero_point) * np.float32(scale)
        y = run("Conv", {"X": x, "W": w, "B": case.b}, order="NHWC", **case.args)
        want = choose(0.0, float(y.max()))
        assert space.fetch("Y").scale == pytest.approx(want.scale, rel=1e-6)
        assert space.fetch("Y").zero_point == 0


def test_runs_follow_scales_weights_and_batches():
    case, other = Case("3x3"), Case("3x3")
    space = Workspace()
    net = bind(
        space,
        "Int8Conv",
        {"X": case.x, "W": case.w, "B": case.b},
        engine="DNNLOWP",
        order="NHWC",
        Y_scale=0.5,
        Y_zero_point=90,
        **case.args,
    )
    for change in (
        {},
        {"x": case.x._replace(scale=np.float32(0.05), zero_point=3)},
        {"w": other.w},
        {"b": other.b},
        {"x": case.x._replace(data=case.x.data[:1])},
        {"x": case.x._replace(data=case.x.data[:0])},
    ):
        for key, value in change.items():
            setattr(case, key, value)
            feed(space, key.upper(), value)
        net.run()
        got = space.fetch("Y").data
        if len(case.x.data):
            np.testing.assert_array_equal(got, int8_reference(case)[0])
        assert len(got) == len(case.x.data)


def saturated(case, w):
    """Caffe2's depthwise sums less the corrections: neighbouring taps in saturating pairs of int16."""
    rows, shape = reference.rows(case.x.data, (3, 3), *case.window, case.group, case.x.zero_point)
    products = rows.reshape(len(rows), -1, 9).astype(np.int64) * w.reshape(-1, 9)
    pairs = [np.clip(products[..., i : i + 2].sum(-1), -(2**15), 2**15 - 1) for i in range(0, 9, 2)]
    return (sum(pairs) - products.sum(-1)).reshape(*shape, -1)


@pytest.mark.parametrize("fix", [False, True])
def test_depthwise_float_weights_saturate_as_in_caffe2(fix):
    case = Case("depthwise")
    w = -np.abs(case.floats()[1])
    p = choose_weight(w, "min_max")
    q = quantize(w, p)
    got = run(
        "Int8Conv",
        {"X": case.x, "W": w, "B": case.b},
        engine="DNNLOWP",
        order="NHWC",
        Y_scale=0.5,
        Y_zero_point=90,
        fix=fix,
        **case.args,
    )
    lost = saturated(case, q)
    assert lost.any()
    acc = case.sums(q, p.zero_point, quantize_bias(case.b, case.x.scale * np.float32(p.scale)))
    want = gemm.requant_f32(
        (acc + (0 if fix else lost)).astype(np.int32), case.x.scale * np.float32(p.scale) / np.float32(0.5), 90
    )
    np.testing.assert_array_equal(got.data, want)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("name", ["1x1", "3x3", "depthwise"])
def test_mobile(name, relu):
    case = Case(name)
    bias = Int8(RNG.integers(-5000, 5000, case.b.shape).astype(np.int32), np.float32(1), 0)
    got = run(
        "Int8ConvRelu" if relu else "Int8Conv",
        {"X": case.x, "W": case.w, "B": bias},
        order="NHWC",
        Y_scale=0.5,
        Y_zero_point=90,
        **case.args,
    )
    acc = case.sums((case.w.data.astype(np.int16) - 128).astype(np.int8), case.w.zero_point - 128, bias.data)
    ratio = case.x.scale * case.w.scale / np.float32(0.5)
    np.testing.assert_array_equal(got.data, gemm.requant_q31(acc, ratio, 90, 90 if relu else 0))


def test_mobile_refuses():
    case = Case("1x1")
    bias = Int8(np.zeros(7, np.int32), np.float32(1), 0)
    feeds = {"X": case.x, "W": case.w, "B": bias}
    with pytest.raises(ServerquantError, match="less than 1"):
        run("Int8Conv", feeds, order="NHWC", Y_scale=1e-6, **case.args)
    with pytest.raises(UnknownOperatorError, match="NHWC"):
        run("Int8Conv", feeds, order="NCHW", Y_scale=0.5, **case.args)
    with pytest.raises(ArgumentError, match="bias"):
        run("Int8Conv", {"X": case.x, "W": case.w}, order="NHWC", Y_scale=0.5, **case.args)


X, W = np.zeros((1, 5, 5, 4), np.float32), np.zeros((6, 3, 3, 4), np.float32)
QX, QW = Int8(X.astype(np.uint8), 1.0, 0), Int8(W.astype(np.uint8), 1.0, 0)


@pytest.mark.parametrize(
    ("error", "says", "feeds", "args"),
    [
        (ShapeError, '"X".*"W"', {"X": X[..., :3], "W": W}, {}),
        (ShapeError, '"X".*3 groups', {"X": X, "W": W}, {"group": 3}),
        (ShapeError, '"W".*4 groups', {"X": X, "W": W[..., :1]}, {"group": 4}),
        (ShapeError, '"B"', {"X": X, "W": W, "B": np.zeros(5, np.float32)}, {}),
        (ShapeError, "4 dimensions", {"X": X[0], "W": W}, {}),
        (ShapeError, "does not fit", {"X": X[:, :2], "W": W}, {}),
        (ArgumentError, "group", {"X": X, "W": W}, {"group": 0}),
        (DTypeError, '"W"', {"X": X, "W": W.astype(np.float64)}, {}),
        (DTypeError, '"X"', {"X": X, "W": QW}, {"engine": "DNNLOWP", "Y_scale": 1.0}),
        (DTypeError, "uint8", {"X": Int8(X.astype(np.int32), 1.0, 0), "W": QW}, {"engine": "DNNLOWP", "Y_scale": 1.0}),
        (QuantizationError, "Y_scale", {"X": QX, "W": QW}, {"engine": "DNNLOWP"}),
        (ArgumentError, "dequantize_output", {"X": QX, "W": QW}, {"engine": "DNNLOWP", "dequantize_output": 1}),
    ],
)
def test_refused(error, says, feeds, args):
    with pytest.raises(error, match=says):
        run("Conv", feeds, **{"order": "NHWC", "kernel": 3, **args})


def test_packing_does_not_look_at_the_order():
    args = {"engine": "DNNLOWP", "kernel": 3, "save_unpacked_weights": 1}
    first, second = (run("Int8ConvPackWeight", {"W": W}, order=order, **args) for order in ("NCHW", "NHWC"))
    assert np.array_equal(first.unpacked, second.unpacked)
    assert first.dims == second.dims == W.shape


def test_pack_refuses():
    with pytest.raises(ShapeError, match="kernel"):
        run("Int8ConvPackWeight", {"W": W}, engine="DNNLOWP", kernel=2, order="NHWC")
    with pytest.raises(ArgumentError, match="in_scale"):
        run("Int8ConvPackWeight", {"W": W, "B": np.zeros(6, np.float32)}, engine="DNNLOWP", kernel=3, order="NHWC")
