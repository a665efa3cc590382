"""Quantized rows and sums over bags of them, against plain numpy; what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run
from reference import rowwise

from serverquant._base import _isa, _threads
from serverquant._base.errors import DTypeError, ServerquantError, ShapeError
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(5)
FORMS = {
    "u8": ("FloatToFused8BitRowwiseQuantized", "Fused8BitRowwiseQuantizedToFloat", 8),
    "u8_half": (
        "FloatToFused8BitRowwiseQuantizedHalfScaleBias",
        "Fused8BitRowwiseQuantizedHalfScaleBiasToFloat",
        8,
    ),
    "u4": ("FloatToFused4BitRowwiseQuantized", "Fused4BitRowwiseQuantizedToFloat", 4),
    "u2": ("FloatToFused2BitRowwiseQuantized", "Fused2BitRowwiseQuantizedToFloat", 2),
    "fake": ("FloatToFused4BitFakeRowwiseQuantized", "Fused8BitRowwiseQuantizedToFloat", 4),
}


@pytest.fixture(params=[*_isa.supported(), 2, 7], ids=str)
def setting(request):
    """Each instruction set, then teams for the smallest work."""
    level, threads = _isa.current(), _threads.get_num_threads()
    if isinstance(request.param, str):
        _isa.set_level(request.param)
    else:
        _threads.set_num_threads(request.param)
        _threads.force_teams(True)
    yield
    _isa.set_level(level)
    _threads.set_num_threads(threads)
    _threads.force_teams(False)


def table(rows, columns, spread=1.0):
    x = (RNG.standard_normal((rows, columns)) * spread).astype(np.float32)
    x[rows // 2] = 0.75
    return x


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("columns", [4, 60, 64, 132])
def test_rows(setting, form, columns):
    quantize, dequantize, bits = FORMS[form]
    for spread in (1.0, 1e-6, 1e4):
        x = table(7, columns, spread)
        stored = run(quantize, {"X": x})
        np.testing.assert_array_equal(stored, rowwise.quantize(x, form, bits))
        np.testing.assert_array_equal(run(dequantize, {"X": stored}), rowwise.dequantize(stored, form))


def test_half_rows_are_those_of_their_floats():
    x = table(5, 16).astype(np.float16)
    for name in ("4BitRowwiseQuantized", "2BitFakeRowwiseQuantized"):
        want = run(f"FloatToFused{name}", {"X": x.astype(np.float32)})
        np.testing.assert_array_equal(run(f"HalfToFused{name}", {"X": x}), want)
    stored = run("HalfToFused4BitRowwiseQuantized", {"X": x})
    half = run("Fused4BitRowwiseQuantizedToHalf", {"X": stored})
    np.testing.assert_array_equal(half, rowwise.dequantize(stored, "u4").astype(np.float16))


def test_greedy_lowers_the_error():
    x = table(6, 64)
    error = [
        np.square(rowwise.dequantize(run("FloatToFused4BitRowwiseQuantized", {"X": x}, engine=engine), "u4") - x).sum()
        for engine in ("", "GREEDY")
    ]
    assert error[1] < error[0]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_random_rows_meet_the_mean(bits):
    x = np.linspace(-1, 1, 21, dtype=np.float32)[None].repeat(3, axis=0)
    space = Workspace()
    net = bind(space, "FloatToFusedRandRowwiseQuantized", {"X": x}, bitwidth=bits)
    back = []
    for _ in range(300):
        net.run()
        back.append(run("FusedRandRowwiseQuantizedToFloat", {"X": space.fetch("Y")}))
    gap = 2 / (2**bits - 1)
    assert np.abs(np.stack(back) - x).max() <= gap * 1.001
    np.testing.assert_allclose(np.mean(back, axis=(0, 1)), x[0], atol=gap * 0.1)


def bags_of(rows, dtype=np.int64):
    lengths = np.array([3, 0, 1, 17, 2, 0, 70, 5, 0], np.int32)
    return RNG.integers(0, rows, lengths.sum()).astype(dtype), lengths


@pytest.mark.parametrize("columns", [4, 32, 60, 64, 132, 260])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_fused_bags(setting, bits, columns):
    rows = 9
    stored = rowwise.quantize(table(rows, columns), f"u{bits}", bits)
    values, scale, bias = rowwise.unpack(stored, f"u{bits}")
    indices, lengths = bags_of(rows, np.int32)
    weights = RNG.standard_normal(indices.size).astype(np.float32)
    feeds = {"D": stored, "I": indices, "L": lengths}
    weighted = {"D": stored, "W": weights, "I": indices, "L": lengths}
    got = run(f"SparseLengthsSumFused{bits}BitRowwise", feeds)
    np.testing.assert_array_equal(got, rowwise.bags(values, scale, bias, indices, lengths))
    got = run(f"SparseLengthsMeanFused{bits}BitRowwise", feeds)
    np.testing.assert_array_equal(got, rowwise.bags(values, scale, bias, indices, lengths, mean=True))
    got = run(f"SparseLengthsWeightedSumFused{bits}BitRowwise", weighted)
    np.testing.assert_array_equal(got, rowwise.bags(values, scale, bias, indices, lengths, weights))
    mapping = np.full(20, -1, np.int32)
    mapping[3 : 3 + rows] = np.arange(rows)
    far = RNG.integers(0, 20, indices.size)
    got = run(f"SparseLengthsWeightedSum{bits}BitRowwiseSparse", {**weighted, "I": far, "M": mapping})
    np.testing.assert_array_equal(got, rowwise.bags(values, scale, bias, mapping[far], lengths, weights))
    got = run(f"SparseLengthsWeightedSum{bits}BitRowwiseSparse", {**weighted, "M": np.zeros(1, np.int32)})
    np.testing.assert_array_equal(got, rowwise.bags(values, scale, bias, indices, lengths, weights))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("columns", [1, 63, 130])
def test_float_bags(setting, dtype, columns):
    x = RNG.standard_normal((9, columns)).astype(dtype)
    indices, lengths = bags_of(9)
    weights, places = (RNG.standard_normal(n).astype(np.float32) for n in (indices.size, 70))
    plain = x.astype(np.float32)
    feeds = {"X": x, "I": indices, "L": lengths}
    got = run("SparseLengthsSum", feeds)
    np.testing.assert_array_equal(got, rowwise.bags(plain, None, None, indices, lengths))
    got = run("SparseLengthsMean", feeds)
    np.testing.assert_array_equal(got, rowwise.bags(plain, None, None, indices, lengths, mean=True))
    got = run("SparseLengthsPositionalWeightedSum", {"X": x, "W": places, "I": indices, "L": lengths})
    by_place = np.concatenate([places[:n] for n in lengths])
    np.testing.assert_array_equal(got, rowwise.bags(plain, None, None, indices, lengths, by_place))
    got = run("SparseLengthsWeightedSum", {"X": x, "W": weights, "I": indices, "L": lengths})
    np.testing.assert_array_equal(got, rowwise.bags(plain, None, None, indices, lengths, weights))


def test_other_lengths_and_tables_of_more_dims():
    """New numbers of indices and bags, on the same plan."""
    space = Workspace()
    x = RNG.standard_normal((6, 2, 3)).astype(np.float32)
    feeds = {"X": x, "I": np.array([0, 5]), "L": np.array([2], np.int32)}
    net = bind(space, "SparseLengthsSum", feeds)
    for lengths in ([2], [1, 0, 4], [], [3, 3, 1, 1]):
        indices = RNG.integers(0, 6, sum(lengths))
        feed(space, "I", indices)
        feed(space, "L", np.array(lengths, np.int32))
        net.run()
        want = [x[part].sum(axis=0) for part in np.split(indices, np.cumsum(lengths)[:-1])] if lengths else []
        np.testing.assert_allclose(space.fetch("Y"), np.reshape(want, (len(lengths), 2, 3)), rtol=1e-5, atol=1e-6)


def test_sparse_lookup():
    mapping = np.array([-1, 0, 1, -1], np.int32)
    feeds = {"I": np.array([0, 2, 1, 3]), "L": np.array([1, 3, 0], np.int32), "M": mapping}
    indices, lengths, weights = run(
        "SparseLengthsSumSparseLookup", {**feeds, "W": np.arange(4, dtype=np.float32)}, outputs=("A", "B", "C")
    )
    np.testing.assert_array_equal(indices, [1, 0])
    np.testing.assert_array_equal(lengths, [0, 2, 0])
    np.testing.assert_array_equal(weights, [1, 2])


X = np.zeros((4, 8), np.float32)
I2, L2 = np.array([0, 1]), np.array([1, 1], np.int32)


@pytest.mark.parametrize(
    ("op_type", "feeds", "error", "words"),
    [
        ("SparseLengthsSum", {"X": X, "I": np.array([0, 4]), "L": L2}, ServerquantError, r"index 4 \(place 1"),
        ("SparseLengthsSum", {"X": X, "I": np.array([-1, 0]), "L": L2}, ServerquantError, "index -1"),
        ("SparseLengthsSum", {"X": X, "I": np.array([0, -(2**63)]), "L": L2}, ServerquantError, "place 1"),
        ("SparseLengthsSum", {"X": X, "I": np.array([0, 4], np.int32), "L": L2}, ServerquantError, "index 4"),
        ("SparseLengthsSum", {"X": X, "I": I2, "L": np.array([1, 2], np.int32)}, ServerquantError, "add up to 3"),
        ("SparseLengthsSum", {"X": X, "I": I2, "L": np.array([3, -1], np.int32)}, ServerquantError, "is -1"),
        ("SparseLengthsSum", {"X": X, "I": I2, "L": L2.astype(np.int64)}, DTypeError, "int32"),
        ("SparseLengthsSum", {"X": X, "I": I2[None], "L": L2}, ShapeError, "1 dimension"),
        ("SparseLengthsSum", {"X": X.astype(np.float64), "I": I2, "L": L2}, DTypeError, "float16"),
        ("SparseLengthsWeightedSum", {"X": X, "W": X[0], "I": I2, "L": L2}, ShapeError, "a weight for each index"),
        (
            "SparseLengthsPositionalWeightedSum",
            {"X": X, "W": X[0, :1], "I": I2, "L": np.array([2], np.int32)},
            ServerquantError,
            "weights for 1 places",
        ),
        ("SparseLengthsSumFused8BitRowwise", {"X": X.astype(np.uint8)[:, :7], "I": I2, "L": L2}, ShapeError, "8 bytes"),
        (
            "SparseLengthsSum8BitRowwiseSparse",
            {"X": np.zeros((4, 9), np.uint8), "I": I2, "L": L2, "M": np.array([0, 4], np.int32)},
            ServerquantError,
            "mapped to row 4",
        ),
        (
            "SparseLengthsSum8BitRowwiseSparse",
            {"X": np.zeros((4, 9), np.uint8), "I": I2 + 1, "L": L2, "M": np.array([0, -1], np.int32)},
            ServerquantError,
            r"index 2 \(place 1 of input 1\) is outside of the 2 rows",
        ),
        ("FloatToFused4BitRowwiseQuantized", {"X": X[:, :3]}, ShapeError, "whole bytes"),
        ("FloatToFused4BitFakeRowwiseQuantized", {"X": X[0]}, ShapeError, "2 dimensions"),
        ("HalfToFused4BitRowwiseQuantized", {"X": X}, DTypeError, "float16"),
        ("Fused4BitRowwiseQuantizedToFloat", {"X": np.zeros((2, 3), np.uint8)}, ShapeError, "at least 4 bytes"),
        ("GatherFused8BitRowwise", {"X": np.zeros((2, 9), np.uint8), "I": I2 + 1}, ServerquantError, "index 2"),
    ],
)
def test_refused(op_type, feeds, error, words):
    with pytest.raises(error, match=words) as caught:
        run(op_type, feeds)
    assert f"{op_type} (op 0" in str(caught.value)
