"""Fully connected layers against plain numpy, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run
from reference import gemm

from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError, ServerquantError, ShapeError
from serverquant.blobs.store import Int8
from serverquant.qparams import choose, choose_weight, quantize, quantize_bias
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(11)
M, N, K = 5, 7, 19
SY = np.float32(0.5)
STATIC = {"engine": "DNNLOWP", "Y_scale": 0.5, "Y_zero_point": 90}


def int8_input(scale=0.03, zero_point=101, rows=M):
    return Int8(RNG.integers(0, 256, (rows, K)).astype(np.uint8), np.float32(scale), zero_point)


X = int8_input()
W = Int8(RNG.integers(0, 256, (N, K)).astype(np.uint8), np.float32(0.01), 120)
B = RNG.standard_normal(N).astype(np.float32)
FLOAT_W = ((W.data.astype(np.float32) - 120) * W.scale * RNG.random((N, 1))).astype(np.float32)


def quantized(weights, by_row):
    """(int8 weights, scales, zero points), an entry for each row."""
    parts = list(weights) if by_row else [weights]
    params = [choose_weight(part, "min_max") for part in parts]
    q = np.concatenate([quantize(part, p).reshape(-1, K) for part, p in zip(parts, params, strict=True)])
    each = N // len(params)
    return q, np.repeat([np.float32(p.scale) for p in params], each), np.repeat([p.zero_point for p in params], each)


def bias_of(scales, x=X):
    return np.array([quantize_bias(B[i : i + 1], x.scale * s)[0] for i, s in enumerate(scales)], np.int32)


def sums(x, w, zero_points, bias):
    return gemm.sums(x.data, w, 1, x.zero_point, zero_points, bias)


@pytest.mark.parametrize("relu", [False, True])
def test_int8(relu):
    got = run("Int8FCRelu" if relu else "Int8FC", {"X": X, "W": W, "B": B}, **STATIC)
    y = choose(0.0, 0.5 * (255 - 90)) if relu else None
    sy, zy = (np.float32(y.scale), y.zero_point) if y else (SY, 90)
    acc = sums(X, (W.data.astype(np.int16) - 128).astype(np.int8), -8, quantize_bias(B, X.scale * W.scale))
    want = gemm.requant_f32(acc, X.scale * W.scale / sy, zy, zy if relu else 0)
    np.testing.assert_array_equal(got.data, want)
    assert (got.scale, got.zero_point) == (sy, zy)


@pytest.mark.parametrize("fix", [False, True])
@pytest.mark.parametrize("by_row", [False, True])
def test_float_weights(by_row, fix):
    q, scales, zeros = quantized(FLOAT_W, by_row)
    bias = bias_of(scales if fix else np.repeat(scales[:1], N))
    want = gemm.requant_f32(sums(X, q, zeros, bias), X.scale * scales / SY, 90)
    got = run("FC", {"X": X, "W": FLOAT_W, "B": B}, quantize_channelwise=int(by_row), fix=fix, **STATIC)
    np.testing.assert_array_equal(got.data, want)


@pytest.mark.parametrize("fix", [False, True])
def test_weight_scales_are_one_an_output(fix):
    scales = (0.002 + 0.03 * RNG.random(N)).astype(np.float32)
    acc = sums(X, (W.data.astype(np.int16) - 128).astype(np.int8), -8, bias_of(scales))
    got = run("Int8FC", {"X": X, "W": W, "B": B}, weight_scales=scales.tolist(), fix=fix, **STATIC)
    np.testing.assert_array_equal(got.data, gemm.requant_f32(acc, X.scale * scales / SY, 90))
    with pytest.raises(ArgumentError, match=f"has 2 entries, but weights .* have {N} outputs"):
        run("Int8FC", {"X": X, "W": W, "B": B}, weight_scales=[0.1, 0.1], **STATIC)


@pytest.mark.parametrize("by_row", [False, True])
def test_packed(by_row):
    q, scales, zeros = quantized(FLOAT_W, by_row)
    packed, bias = run(
        "Int8FCPackWeight",
        {"W": FLOAT_W, "B": B},
        ("P", "Q"),
        engine="DNNLOWP",
        in_scale=float(X.scale),
        quantize_channelwise=int(by_row),
    )
    np.testing.assert_array_equal(bias.data, bias_of(scales))
    assert (bias.scale, bias.zero_point) == (X.scale * scales[0], 0)
    want = gemm.requant_f32(sums(X, q, zeros, bias.data), X.scale * scales / SY, 90)
    feeds = {"X": X, "W": packed, "B": np.zeros(N, np.float32)}
    np.testing.assert_array_equal(run("Int8FC", feeds, quantize_channelwise=int(by_row), **STATIC).data, want)
    with pytest.raises(QuantizationError, match="both must agree"):
        run("Int8FC", feeds, quantize_channelwise=int(not by_row), **STATIC)


def test_dequantized_output():
    q, scales, zeros = quantized(FLOAT_W, True)
    how = {"engine": "DNNLOWP", "dequantize_output": 1, "quantize_channelwise": 1}
    got = run("Int8FCRelu", {"X": X, "W": FLOAT_W, "B": B}, **how)
    want = gemm.dequant_f32(sums(X, q, zeros, None), X.scale * scales, B, relu=True)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == np.float32


def test_float_input_is_quantized_by_its_range():
    x = RNG.standard_normal((M, K)).astype(np.float32)
    p = choose(float(x.min()), float(x.max()))
    same = Int8(quantize(x, p), np.float32(p.scale), p.zero_point)
    got, want = (run("FC", {"X": value, "W": W, "B": B}, **STATIC) for value in (x, same))
    np.testing.assert_array_equal(got.data, want.data)


@pytest.mark.parametrize("fix", [False, True])
def test_what_the_first_run_leaves(fix):
    """Unless defects are fixed, multiplier and dynamic parameters stay those of the first run."""
    space = Workspace()
    net = bind(space, "FC", {"X": X, "W": FLOAT_W, "B": B}, engine="DNNLOWP", fix=fix)
    net.run()
    first = space.fetch("Y")
    feed(space, "X", X._replace(scale=np.float32(0.3)))
    net.run()
    assert (space.fetch("Y").scale == first.scale) == (not fix)
    fresh = run("FC", {"X": X._replace(scale=np.float32(0.3)), "W": FLOAT_W, "B": B}, engine="DNNLOWP")
    assert (space.fetch("Y").scale == fresh.scale) == fix


def test_runs_follow_weights_and_batches():
    space = Workspace()
    net = bind(space, "Int8FC", {"X": X, "W": W, "B": B}, **STATIC)
    net.run()
    for name, value in (("W", W._replace(data=W.data[::-1])), ("X", int8_input(rows=3)), ("X", int8_input(rows=0))):
        feed(space, name, value)
        net.run()
        feeds = {key: space.fetch(key) for key in ("X", "W", "B")}
        np.testing.assert_array_equal(space.fetch("Y").data, run("Int8FC", feeds, **STATIC).data)


def test_float():
    x = RNG.standard_normal((2, 3, K)).astype(np.float32)
    want = x.astype(np.float64) @ FLOAT_W.T + B
    np.testing.assert_allclose(run("FC", {"X": x, "W": FLOAT_W, "B": B}, axis=2), want, rtol=1e-4, atol=1e-5)
    flat = run("FC", {"X": x[:, 0], "W": FLOAT_W.reshape(N, K, 1), "B": B})
    np.testing.assert_array_equal(flat, run("FC", {"X": x[:, 0], "W": FLOAT_W, "B": B}))


def test_outputs_larger_than_caches():
    """32 MB and up are stored past the caches: whole vectors, columns left over, and rows of an odd length."""
    x = RNG.standard_normal((2049, 1)).astype(np.float32)
    for n in (4096, 4112, 4129):
        w, bias = RNG.standard_normal((n, 1)).astype(np.float32), RNG.standard_normal(n).astype(np.float32)
        np.testing.assert_array_equal(run("FC", {"X": x, "W": w, "B": bias}), x * w.T + bias)


def test_mobile():
    bias = Int8(RNG.integers(-5000, 5000, N).astype(np.int32), np.float32(1), 0)
    got = run("Int8FC", {"X": X, "W": W, "B": bias}, Y_scale=0.5, Y_zero_point=90)
    acc = sums(X, (W.data.astype(np.int16) - 128).astype(np.int8), -8, bias.data)
    np.testing.assert_array_equal(got.data, gemm.requant_q31(acc, X.scale * W.scale / SY, 90))
    with pytest.raises(ServerquantError, match="less than 1"):
        run("Int8FC", {"X": X, "W": W, "B": bias}, Y_scale=1e-6)


INT_B = Int8(np.zeros(N, np.int32), X.scale * W.scale, 0)


@pytest.mark.parametrize(
    ("error", "says", "feeds", "args"),
    [
        (ShapeError, '"X".*"W"', {"W": FLOAT_W[:, 1:]}, {}),
        (ShapeError, '"B"', {"W": W, "B": B[1:]}, {}),
        (ServerquantError, "bias has", {"W": W, "B": INT_B._replace(scale=0.2)}, {}),
        (ServerquantError, "bias has", {"W": W, "B": INT_B._replace(zero_point=1)}, {}),
        (DTypeError, "int32", {"W": W, "B": INT_B._replace(data=INT_B.data.astype(np.uint8))}, {}),
        (QuantizationError, "Y_scale", {"W": W}, {"Y_scale": None}),
        (QuantizationError, "Y_scale", {"W": FLOAT_W, "B": INT_B}, {"Y_scale": None}),
    ],
)
def test_refused(error, says, feeds, args):
    given = {k: v for k, v in {**STATIC, **args}.items() if v is not None}
    with pytest.raises(error, match=says):
        run("Int8FC", {"X": X, "W": W, "B": B, **feeds}, **given)


@pytest.mark.parametrize("engine", ["", "DNNLOWP"])
@pytest.mark.parametrize(("n", "k"), [(0, 3), (3, 0)])
def test_empty_weights_are_refused(n, k, engine):
    feeds = {
        "X": X._replace(data=X.data[:, :k]),
        "W": W._replace(data=np.zeros((n, k), np.uint8)),
        "B": INT_B._replace(data=np.zeros(n, np.int32)),
    }
    with pytest.raises(ShapeError, match='"W"'):
        run("Int8FC", feeds, engine=engine, Y_scale=0.5)


def test_pack_refuses():
    with pytest.raises(ServerquantError, match="in_scale"):
        run("Int8FCPackWeight", {"W": FLOAT_W, "B": B}, engine="DNNLOWP")
    with pytest.raises(QuantizationError, match="bias"):
        run("Int8FCPackWeight", {"W": FLOAT_W}, ("P", "Q"), engine="DNNLOWP")
