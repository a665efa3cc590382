"""Engine DNNLOWP_16: tensors of uint16, against plain definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError
from serverquant.blobs.store import Int8
from serverquant.ops.dnnlowp import wide
from serverquant.qparams import QParams, choose
from serverquant.runtime.workspace import Workspace

ENGINE = "DNNLOWP_16"
rng = np.random.default_rng(7)


def tensor(*dims, bits=16, scale=0.01, zero_point=300):
    return Int8(rng.integers(0, 1 << bits, dims).astype(np.uint16), np.float32(scale), zero_point)


def requantized(acc, multiplier, zero_point, bits=16, lo=0):
    scaled = acc.astype(np.float32) * np.float32(multiplier)
    return np.clip(np.rint(scaled.astype(np.float64)) + zero_point, lo, (1 << bits) - 1).astype(np.uint16)


def test_quantize_rounds_twice_and_takes_nan_as_0():
    x = (rng.standard_normal(2000) * 50).astype(np.float32)
    x[:3] = np.nan, np.inf, -np.inf
    got = run("Quantize", {"X": x}, engine=ENGINE, activation_precision=12, Y_scale=0.013, Y_zero_point=700)
    scaled = x * (np.float32(1) / np.float32(0.013)) + np.float32(700)
    want = np.where(np.isnan(scaled), 0, np.clip(np.rint(scaled), 0, 4095)).astype(np.uint16)
    assert got.data.dtype == np.uint16
    assert (got.zero_point, got.scale) == (700, np.float32(0.013))
    np.testing.assert_array_equal(got.data, want)


@pytest.mark.parametrize("engine", [ENGINE, "DNNLOWP_ROWWISE_16"])
def test_quantize_chooses_and_dequantize_undoes(engine):
    x = rng.standard_normal((3, 50)).astype(np.float32)
    q = run("Quantize", {"X": x}, engine=engine, activation_precision=16)
    assert (q.scale, q.zero_point) == choose(x.min(), x.max(), 16)[:2]
    np.testing.assert_array_equal(
        run("Dequantize", {"X": q}, engine=engine),
        np.float32(q.scale) * (q.data.astype(np.int32) - q.zero_point).astype(np.float32),
    )


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("nhwc", [False, True])
def test_conv(nhwc, relu):
    x = tensor(2, 4, 6, 5, bits=12, zero_point=900)
    weight, bias = rng.standard_normal((6, 2, 3, 2)).astype(np.float32), rng.standard_normal(6).astype(np.float32)
    args = {"kernels": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "dilations": [1, 2], "group": 2,
            "activation_precision": 16, "weight_precision": 10, "Y_scale": 0.01,
            "Y_zero_point": 0 if relu else 20000}  # fmt: skip
    turn = (0, 2, 3, 1)
    feeds = {
        "X": x._replace(data=np.ascontiguousarray(x.data.transpose(turn))) if nhwc else x,
        "W": np.ascontiguousarray(weight.transpose(turn)) if nhwc else weight,
        "b": bias,
    }
    got = run("ConvRelu" if relu else "Conv", feeds, engine=ENGINE, order="NHWC" if nhwc else "NCHW", **args)
    p = choose(weight.min(), weight.max(), 10)
    inverse = np.float32(1) / np.float32(p.scale)
    w = np.clip(np.rint(weight * inverse + np.float32(p.zero_point - 512)), -512, 511).astype(np.int64)
    w -= p.zero_point - 512
    image = np.pad(x.data.astype(np.int64) - 900, [(0, 0), (0, 0), (1, 1), (0, 1)])
    unit = np.float32(0.01) * np.float32(p.scale)
    acc = np.zeros((2, 6, 3, 4), np.int64) + np.rint(bias * (np.float32(1) / unit)).astype(np.int64)[:, None, None]
    for n, m, i, j in itertools.product(range(2), range(6), range(3), range(4)):
        window = image[n, m // 3 * 2 : m // 3 * 2 + 2, 2 * i : 2 * i + 3, j : j + 3 : 2]
        acc[n, m, i, j] += (window * w[m]).sum()
    y_scale = np.float32(got.scale)
    want = requantized(acc, unit / y_scale, got.zero_point, lo=got.zero_point if relu else 0)
    np.testing.assert_array_equal(got.data.transpose(0, 3, 1, 2) if nhwc else got.data, want)
    assert len(np.unique(want)) > 20


@pytest.mark.parametrize("engine", [ENGINE, "DNNLOWP_ROWWISE_16"])
def test_fc(engine):
    x, weight, bias = tensor(3, 7, bits=8), rng.standard_normal((4, 7)).astype(np.float32), np.float32([1, -2, 3, 0])
    weight *= np.float32([[1], [5], [0.1], [2]])
    floats = run("FC", {"X": x, "W": weight, "b": bias}, engine=engine, dequantize_output=1)
    parts = weight if engine != ENGINE else weight.reshape(1, -1)
    w, units = [], []
    for part in parts:
        p = choose(part.min(), part.max())
        q = np.rint(part * (np.float32(1) / np.float32(p.scale)) + np.float32(p.zero_point - 128))
        w.append(np.clip(q, -128, 127) - (p.zero_point - 128))
        units.append(np.float32(0.01) * np.float32(p.scale))
    acc = (x.data.astype(np.int64) - 300) @ np.reshape(w, (4, 7)).astype(np.int64).T
    want = acc.astype(np.float64) * np.repeat(units, 4 // len(units)).astype(np.float64) + bias
    np.testing.assert_array_equal(floats, want.astype(np.float32))


def test_fc_keeps_its_first_parameters_unless_fixed():
    weight, bias = rng.standard_normal((2, 3)).astype(np.float32), np.zeros(2, np.float32)
    space = Workspace()
    x = rng.standard_normal((2, 3)).astype(np.float32)
    for fix, grown in ((False, False), (True, True)):
        net = bind(space, "FC", {"X": x, "W": weight, "b": bias}, engine=ENGINE, fix=fix)
        net.run()
        first = space.fetch("Y")
        feed(space, "X", x * 2)
        net.run()
        assert (space.fetch("Y").scale > first.scale) == grown


def test_matmul():
    a, b = tensor(2, 5, 3, bits=10), tensor(2, 4, 5, bits=10, scale=0.02, zero_point=100)
    got = run("BatchMatMul", {"A": a, "B": b}, engine=ENGINE, trans_a=1, trans_b=1, Y_scale=0.1, Y_zero_point=30000,
              activation_precision=16)
    acc = (a.data.astype(np.int64) - 300).swapaxes(1, 2) @ (b.data.astype(np.int64) - 100).swapaxes(1, 2)
    unit = np.float32(0.01) * np.float32(0.02) / np.float32(0.1)
    np.testing.assert_array_equal(got.data, requantized(acc, unit, 30000))


@pytest.mark.parametrize("engine", [ENGINE, "DNNLOWP"])
@pytest.mark.parametrize(("a", "b", "params"), [
    ((0, 3, 4), (0, 4, 5), (1.0, 0)), ((2, 0, 4), (2, 4, 5), (0.5, 3)), ((0, 4), (4, 5), (0.5, 3)),
])  # fmt: skip
def test_a_product_without_matrices_has_the_parameters_of_a_new_tensor(engine, a, b, params):
    parts = {n: run("Quantize", {"X": np.ones(dims, np.float32)}, engine=engine) for n, dims in (("A", a), ("B", b))}
    got = run("BatchMatMul", parts, engine=engine, Y_scale=0.5, Y_zero_point=3)
    assert got[1:] == params


def test_sum_goes_through_16_bits():
    parts = [tensor(40, scale=s, zero_point=z) for s, z in ((0.01, 30000), (0.02, 0), (0.005, 65535))]
    got = run("Sum", dict(zip("ABC", parts)), engine=ENGINE, Y_scale=0.05, Y_zero_point=9000, activation_precision=16)
    params = [QParams(p.scale, p.zero_point, 16) for p in parts]
    mid = choose(min(p.min for p in params), max(p.max for p in params), 16)
    total = -3 * mid.zero_point + sum(
        requantized(p.data.astype(np.int64) - p.zero_point, p.scale / np.float32(mid.scale), mid.zero_point).astype(int)
        for p in parts
    )
    np.testing.assert_array_equal(got.data, requantized(total, np.float32(mid.scale) / np.float32(0.05), 9000))
    doubled = run("SumRelu", {"A": parts[0]}, engine=ENGINE, activation_precision=16, Y_scale=0.01, Y_zero_point=0)
    assert doubled.data.min() == 0


def test_pools():
    x = tensor(1, 3, 5, 5)
    window = {"kernels": [3, 2], "strides": [2, 2], "pads": [1, 0, 0, 1]}
    most = run("MaxPool", {"X": x}, engine=ENGINE, **window, activation_precision=16)
    mean = run("AveragePool", {"X": x}, engine=ENGINE, **window, activation_precision=16, Y_scale=0.02, Y_zero_point=7)
    assert (most.scale, most.zero_point) == (np.float32(0.01), 300)
    for c, i, j in itertools.product(range(3), range(2), range(3)):
        part = x.data[0, c, max(2 * i - 1, 0) : 2 * i + 2, 2 * j : 2 * j + 2].astype(np.int64)
        assert most.data[0, c, i, j] == part.max()
        multiplier = np.float32(0.01) / np.float32(0.02) / np.float32(part.size)
        value = np.float32((part - 300).sum()) * multiplier + np.float32(7)
        assert mean.data[0, c, i, j] == np.clip(np.rint(value), 0, 65535)


def test_relu_and_shuffle_keep_parameters():
    x = tensor(2, 6, 2, 2)
    relu = run("Relu", {"X": x}, engine=ENGINE)
    np.testing.assert_array_equal(relu.data, np.maximum(x.data, 300))
    shuffled = run("ChannelShuffle", {"X": x}, engine=ENGINE, group=2, activation_precision=16)
    np.testing.assert_array_equal(shuffled.data, x.data[:, [0, 3, 1, 4, 2, 5]])
    assert relu[1:] == shuffled[1:] == x[1:]


def test_float_inputs_are_quantized_by_their_range():
    x = rng.standard_normal((1, 2, 4, 4)).astype(np.float32)
    got = run("MaxPool", {"X": x}, engine=ENGINE, kernel=2, activation_precision=12)
    assert (got.scale, got.zero_point) == choose(x.min(), x.max(), 12)[:2]


@pytest.mark.parametrize("op_type", ["Relu", "Sum", "MaxPool", "Dequantize"])
def test_bytes_are_refused(op_type):
    x = Int8(np.zeros((1, 1, 2, 2), np.uint8), 1.0, 0)
    args = {"kernel": 1} if op_type == "MaxPool" else {}
    with pytest.raises(DTypeError, match="uint16"):
        run(op_type, {"X": x}, engine=ENGINE, **args)


def test_refused():
    x, floats = tensor(1, 1, 2, 2), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(ArgumentError, match="2 to 16 bits"):
        run("Quantize", {"X": floats}, engine=ENGINE, activation_precision=17)
    with pytest.raises(ArgumentError, match="dequantize_output"):
        run("Conv", {"X": x, "W": floats}, engine=ENGINE, kernel=1, dequantize_output=1)
    with pytest.raises(QuantizationError, match="Y_scale"):
        run("Conv", {"X": x, "W": tensor(1, 1, 1, 1)}, engine=ENGINE, kernel=1)
    bias = Int8(np.zeros(1, np.int32), 0.5, 0)
    with pytest.raises(QuantizationError, match="within 1e-4"):
        run("Conv", {"X": x, "W": floats, "b": bias}, engine=ENGINE, kernel=1, Y_scale=1.0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("worst", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize(("op_type", "args"), [
    ("Sum", {}), ("AveragePool", {"kernel": 2}), ("FC", {}),
])  # fmt: skip
def test_numbers_without_bounds_make_no_noise(op_type, args, worst):
    x = np.full((1, 2, 2, 2), worst, np.float32)
    x[0, 0] = -1
    feeds = {"X": x}
    if op_type == "FC":
        feeds |= {"W": np.ones((2, 8), np.float32), "b": np.ones(2, np.float32)}
    got = run(op_type, feeds, engine=ENGINE, Y_scale=1.0, Y_zero_point=5, **args)
    assert got[1:] == (1.0, 5)


@pytest.mark.filterwarnings("ignore:overflow")
def test_requantize_of_what_is_too_large():
    out = QParams(1.0, 5, 16)
    got = wide.requantize(np.array([2**31 - 1, -(2**31), 1]), np.float32(1e30), out)
    np.testing.assert_array_equal(got, [0, 0, 0])
    np.testing.assert_array_equal(wide.requantize(np.array([2**31 - 1, -7]), np.float32(1), out), [65535, 0])
