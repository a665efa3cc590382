"""The frame of DNNLOWP operators: fixed and dynamic parameters, float inputs, dequantized outputs; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError
from serverquant.blobs.store import Int8
from serverquant.qparams import choose, find_min_max, quantize
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(4)
F = np.float32


def int8(shape, scale, zero_point):
    return Int8(RNG.integers(0, 256, shape).astype(np.uint8), F(scale), zero_point)


def floats(q):
    return q.scale * (q.data.astype(np.int32) - q.zero_point).astype(F)


def choose_for(values):
    return choose(*find_min_max(np.ascontiguousarray(values)))


A, B = int8((2, 3, 4), 0.05, 100), int8((2, 3, 4), 0.02, 30)
VALUE = F(0.05) * F(0.02)
PRODUCT = (A.data.astype(np.int64) - 100) * (B.data.astype(np.int64) - 30)


def requantized(acc, multiplier, zero_point):
    return np.clip(np.rint(acc.astype(F) * F(multiplier)) + zero_point, 0, 255)


def test_fixed_parameters():
    got = run("Int8Mul", {"A": A, "B": B}, engine="DNNLOWP", Y_scale=0.5, Y_zero_point=60)
    np.testing.assert_array_equal(got.data, requantized(PRODUCT, VALUE / F(0.5), 60))
    assert (got.scale, got.zero_point) == (F(0.5), 60)


def test_dynamic_parameters_are_those_of_the_float_result():
    want = choose_for(floats(A) * floats(B))
    got = run("Int8Mul", {"A": A, "B": B}, engine="DNNLOWP")
    assert (got.scale, got.zero_point) == (F(want.scale), want.zero_point)
    np.testing.assert_array_equal(got.data, requantized(PRODUCT, VALUE / F(want.scale), want.zero_point))


def test_float_inputs_are_quantized_by_their_range():
    a, b = floats(A) + F(0.01), floats(B)
    pa, pb = choose_for(a), choose_for(b)
    got = run("Mul", {"A": a, "B": b}, engine="DNNLOWP", Y_scale=0.5, Y_zero_point=60)
    qa, qb = (quantize(v, p).astype(np.int64) - p.zero_point for v, p in ((a, pa), (b, pb)))
    np.testing.assert_array_equal(got.data, requantized(qa * qb, F(pa.scale) * F(pb.scale) / F(0.5), 60))


def test_dequantized_output():
    kept = run("Int8Mul", {"A": A, "B": B}, engine="DNNLOWP", Y_scale=0.5, Y_zero_point=60)
    got = run("Int8Mul", {"A": A, "B": B}, engine="DNNLOWP", Y_scale=0.5, Y_zero_point=60, dequantize_output=1)
    np.testing.assert_array_equal(got, floats(kept))


def test_new_batches_and_scales():
    space = Workspace()
    net = bind(space, "Int8Mul", {"A": A, "B": B}, engine="DNNLOWP", Y_scale=0.5, Y_zero_point=60)
    for batch, scale in ((2, 0.05), (5, 0.05), (0, 0.1), (1, 0.1)):
        a, b = int8((batch, 3, 4), scale, 7), int8((batch, 3, 4), 0.02, 200)
        feed(space, "A", a)
        feed(space, "B", b)
        net.run()
        acc = (a.data.astype(np.int64) - 7) * (b.data.astype(np.int64) - 200)
        np.testing.assert_array_equal(space.fetch("Y").data, requantized(acc, a.scale * b.scale / F(0.5), 60))


def test_concat_requantizes_equal_parameters_too():
    parts = {"A": A, "B": B, "C": Int8(A.data, F(0.5), 60)}
    got, sizes = run("Int8Concat", parts, ("Y", "S"), engine="DNNLOWP", axis=1, Y_scale=0.5, Y_zero_point=60)
    want = [requantized(p.data.astype(np.int64) - p.zero_point, p.scale / F(0.5), 60) for p in parts.values()]
    np.testing.assert_array_equal(got.data, np.concatenate(want, axis=1))
    np.testing.assert_array_equal(sizes, [3, 3, 3])


@pytest.mark.parametrize("constant", [0, 1])
def test_batch_matmul(constant):
    a, b = int8((2, 5, 9), 0.05, 100), int8((2, 9, 4), 0.02, 30)
    acc = (a.data.astype(np.int64) - 100) @ (b.data.astype(np.int64) - 30)
    args = {"engine": "DNNLOWP", "constant_B": constant, "Y_scale": 0.5, "Y_zero_point": 60}
    got = run("BatchMatMul", {"A": a, "B": b}, **args)
    np.testing.assert_array_equal(got.data, requantized(acc, VALUE / F(0.5), 60))
    turned = {"A": Int8(a.data.swapaxes(1, 2).copy(), *a[1:]), "B": Int8(b.data.swapaxes(1, 2).copy(), *b[1:])}
    got = run("BatchMatMul", turned, trans_a=1, trans_b=1, **args)
    np.testing.assert_array_equal(got.data, requantized(acc, VALUE / F(0.5), 60))


def test_a_constant_b_may_be_fed_anew():
    space = Workspace()
    a, b = int8((1, 3, 4), 0.1, 9), int8((1, 4, 2), 0.1, 9)
    net = bind(space, "BatchMatMul", {"A": a, "B": b}, engine="DNNLOWP", constant_B=1, Y_scale=1.0)
    for _ in range(2):
        net.run()
        acc = (a.data.astype(np.int64) - 9) @ (b.data.astype(np.int64) - 9)
        np.testing.assert_array_equal(space.fetch("Y").data, requantized(acc, a.scale * b.scale, 0))
        b = int8((1, 4, 2), 0.1, 9)
        feed(space, "B", b)


def test_gather_keeps_parameters():
    got = run("Int8Gather", {"X": A, "I": np.array([1, 0, 1])}, engine="DNNLOWP", Y_scale=9.0)
    np.testing.assert_array_equal(got.data, A.data[[1, 0, 1]])
    assert (got.scale, got.zero_point) == (A.scale, A.zero_point)


STATIC = {"engine": "DNNLOWP", "Y_scale": 0.5}
VECTOR = np.ones(3, F)


@pytest.mark.parametrize(
    ("op_type", "feeds", "args", "error", "words"),
    [
        ("Int8Mul", {"A": A, "B": int8((3, 4), 0.1, 0)}, STATIC, ShapeError, "broadcast=1"),
        ("Int8Mul", {"A": A, "B": B.data.astype(np.int64)}, STATIC, DTypeError, "input 1"),
        ("Int8Concat", {"A": A, "B": int8((2, 3, 5), 0.1, 0)}, {**STATIC, "axis": 0}, ShapeError, "input 1"),
        ("Int8Gather", {"X": A, "I": np.array([2])}, {"engine": "DNNLOWP"}, ServerquantError, "index 2"),
        ("BatchMatMul", {"A": A, "B": int8((2, 3, 4), 0.1, 0)}, STATIC, ShapeError, "do not fit"),
        (
            "Int8SpatialBN",
            {"X": A, "s": VECTOR, "b": VECTOR, "m": VECTOR, "v": VECTOR},
            {**STATIC, "is_test": 0},
            ArgumentError,
            "is_test",
        ),
        ("Int8Mul", {"A": A, "B": B}, {"engine": "DNNLOWP", "Y_scale": -1.0}, ServerquantError, "Y_scale"),
        ("Int8Mul", {"A": A, "B": B}, {**STATIC, "Y_zero_point": 256}, ServerquantError, "Y_zero_point"),
    ],
)
def test_refused(op_type, feeds, args, error, words):
    outputs = ("Y", "S") if op_type == "Int8Concat" else ("Y",)
    with pytest.raises(error, match=words) as caught:
        run(op_type, feeds, outputs, **args)
    assert f"{op_type} (op 0" in str(caught.value)
