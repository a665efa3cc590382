"""Every row of the gemm table against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from reference import gemm as reference

from serverquant._base import _threads
from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError, ShapeError
from serverquant.kernels.gemm import _gemm

ROWS = [pytest.param(r, id=r.name, marks=[] if r.supported else pytest.mark.skip(r.isa)) for r in _gemm.rows()]


def check(x, w, row, kind="raw_s32", groups=1, zx=0, zw=0, bias=None, **ep):
    """Run one row and compare; returns the output."""
    packed = _gemm.pack(w, groups, zero_point=zw, row=row.name)
    folded = _gemm.fold(packed, zx, bias)
    got = _gemm.gemm(x, packed, _gemm.Epilogue(kind, w.shape[0], folded, **ep))
    acc = reference.sums(x, w, groups, zx, zw, bias)
    if kind == "raw_s32":
        want = acc
    elif kind == "requant_f32":
        want = reference.requant_f32(acc, **ep)
    elif kind == "requant_q31":
        want = reference.requant_q31(acc, **ep)
    else:
        want = reference.dequant_f32(acc, ep["multiplier"], 0.0 if ep.get("bias_f32") is None else ep["bias_f32"],
                                     ep.get("relu", False))
    np.testing.assert_array_equal(got, want)
    assert not np.any(np.signbit(got) != np.signbit(want))
    return got


def operands(rng, m, n, k, groups=1):
    x = rng.integers(0, 256, (m, groups * k), np.uint8)
    return x, rng.integers(-128, 128, (groups * n, k), np.int8)


def around(*tiles):
    """1, and each number with its neighbours."""
    return sorted({1, *(t + d for t in tiles for d in (-1, 0, 1) if t + d > 0)})


@pytest.mark.parametrize("row", ROWS)
def test_sizes(row):
    rng = np.random.default_rng(1)
    mr, nr, _ = row.tile
    for m in around(mr, 2 * mr, 24):
        for n in around(nr, 8, 16, 32, 48):
            check(*operands(rng, m, n, 21), row, zx=7, zw=-3)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7, 8, 9, 17, 31, 32, 33, 63, 64, 65, 127, 131, 509])
def test_depths(row, k):
    rng = np.random.default_rng(k)
    for m, n in ((1, 1), (7, 19), (13, 70)):
        check(*operands(rng, m, n, k), row, zx=255, zw=rng.integers(-128, 128, n))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("w", [-128, -127, -1, 1, 64, 65, 127])
def test_extremes(row, w):
    for x in (1, 254, 255):
        a = np.full((5, 133), x, np.uint8)
        weights = np.full((19, 133), w, np.int8)
        weights[::3, ::2] *= -1
        weights[::5, 1::3] = 0
        check(a, weights, row, zx=x // 2)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("k", [15, 16, 17, 20, 21, 23, 24, 64, 151])
def test_int16_sums_of_trained_weights(row, k):
    rng = np.random.default_rng(k)
    w = np.clip(rng.laplace(0, 14, (37, k)), -128, 127).astype(np.int8)
    w[3, :4], w[20, -3:], w[36, -1] = 127, -128, 127
    for x in (rng.integers(0, 256, (9, k), np.uint8), np.full((9, k), 255, np.uint8)):
        check(x, w, row, zx=100)
        check(x, np.where(w > 0, w, 0).astype(np.int8), row)
        check(x, np.where(w < 0, w, 0).astype(np.int8), row)
    if row.name == "sq_gemm_u8s8s32_4x16c4_avx2":
        packed = _gemm.pack(w, row=row.name)
        assert packed.extra_vectors > 0
        assert packed.depth == 2 or k < 64


WIDE_K = [15, 16, 17, 31, 32, 33, 63, 66, 255, 256, 257, 259, 271, 513]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("k", WIDE_K)
def test_weights_that_fill_their_range(row, k):
    rng = np.random.default_rng(k)
    for m, n in ((1, 8), (3, 9), (4, 15), (5, 16), (9, 33)):
        x, w = operands(rng, m, n, k)
        ends = np.where(w < 0, -128, 127).astype(np.int8)
        for weights in (w, ends, np.full_like(w, -128)):
            check(x, weights, row, zx=7)
            check(np.full_like(x, 255), weights, row, zx=255, zw=-3)
            if row.name == "sq_gemm_u8s8s32_4x16c4_avx2":
                packed = _gemm.pack(weights, row=row.name)
                assert (packed.depth, packed.extra_vectors) == (0, 0)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("k", [64, 65, 67, 130, 513])
def test_few_weights_beyond_int16_sums(row, k):
    rng = np.random.default_rng(k)
    w = rng.integers(-9, 10, (37, k)).astype(np.int8)
    for at in (0, 3, 24, 44, k - 2):
        w[:, at : at + 4] = rng.choice(np.array([-128, 127], np.int8), w[:, at : at + 4].shape)
    for x in (rng.integers(0, 256, (9, k), np.uint8), np.full((9, k), 255, np.uint8)):
        check(x, w, row, zx=100)
    if row.name == "sq_gemm_u8s8s32_4x16c4_avx2" and k > 100:
        packed = _gemm.pack(w, row=row.name)
        assert packed.depth > 0
        assert packed.extra_vectors > 0


@pytest.mark.parametrize(
    ("n", "k", "thin"), [(1, 300, True), (1, 128, True), (3, 192, True), (4, 64, True), (5, 300, False), (1, 9, False)]
)
def test_few_columns_take_a_row_of_their_own(n, k, thin):
    x, w = operands(np.random.default_rng(n), 37, n, k)
    packed = _gemm.pack(w)
    if packed.isa != "scalar":
        assert ("x4c" in packed.row) is thin
    got = _gemm.gemm(x, packed, _gemm.Epilogue("raw_s32", n, _gemm.fold(packed, 3)))
    np.testing.assert_array_equal(got, reference.sums(x, w, 1, 3))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("zero_point", [0, 127, 128, 255])
def test_the_largest_sum_does_not_wrap(row, zero_point):
    x, w, bias = np.zeros((3, 4), np.uint8), np.zeros((2, 4), np.int8), np.array([2**31 - 1, -(2**31)], np.int32)
    check(x, w, row, "requant_q31", bias=bias, ratio=np.float32(0.99999994), zero_point=zero_point)
    check(x, w, row, "requant_f32", bias=bias, multiplier=np.float32(0.99999994), zero_point=zero_point)


@pytest.mark.parametrize("row", ROWS)
def test_sums_wrap(row):
    x, w = np.full((3, 70_000), 255, np.uint8), np.full((2, 70_000), 127, np.int8)
    check(x, w, row, zx=255, zw=-128, bias=np.array([2**31 - 1, -(2**31)], np.int32))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("zw", [0, 5])
def test_requant_f32(row, zw):
    rng = np.random.default_rng(5)
    x, w = operands(rng, 23, 83, 100)
    bias = rng.integers(-9999, 9999, 83).astype(np.int32)
    per_column = rng.uniform(1e-4, 2e-3, 83).astype(np.float32)
    for m in (np.float32(3e-4), per_column):
        got = check(x, w, row, "requant_f32", zx=120, zw=zw, bias=bias, multiplier=m, zero_point=77)
        assert len(np.unique(got)) > 50
        check(x, w, row, "requant_f32", zx=120, zw=zw, bias=bias, multiplier=m, zero_point=9, lo=9, hi=200)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("k", [4, 8, 20, 23, 24, 44, 48, 52, 100, 260])
def test_any_number_of_rows_requantized(row, k):
    """Rows of whole panels end in other places the more there are of them."""
    rng = np.random.default_rng(k)
    x, w = operands(rng, 98, 130, k)
    bias, m = rng.integers(-9999, 9999, 130).astype(np.int32), rng.uniform(1e-4, 2e-3, 130).astype(np.float32)
    for rows in (*range(5, 33), 49, 60, 64, 98):
        check(x[:rows], w, row, "requant_f32", zx=120, zw=rows % 3 - 1, bias=bias, multiplier=m, zero_point=77)
        check(x[:rows], w[:64], row, "requant_q31", zx=120, zw=rows % 3 - 1, ratio=0.0003, zero_point=77)


@pytest.mark.parametrize("row", ROWS)
def test_requant_f32_ties_and_overflow(row):
    k = 64
    x = np.arange(256, dtype=np.uint8)[:, None] * np.ones(k, np.uint8)
    w = np.ones((17, k), np.int8)
    for m in (0.5 / 64, 1.5 / 64, 1e10, -1e10, np.inf, np.nan, 2.0**31 / 64, 1e-30):
        check(x, w, row, "requant_f32", zx=128, multiplier=np.float32(m), zero_point=256)
    big = np.array([2**24 + 1, 2**24 + 3, 2**31 - 1, -(2**31), 2**31 - 64] + [0] * 12, np.int32)
    check(x[:9] * 0, w, row, "requant_f32", bias=big, multiplier=np.float32(2.0**-17), zero_point=3)
    check(x[:9] * 0, w, row, "requant_f32", bias=big, multiplier=np.float32(1), zero_point=255)


@pytest.mark.parametrize("row", ROWS)
def test_requant_q31(row):
    rng = np.random.default_rng(6)
    x, w = operands(rng, 29, 51, 96)
    for ratio in (0.75, 0.5, np.nextafter(np.float32(1), np.float32(0)), 3e-4, 2.0**-11, 1e-7, 2.0**-32):
        check(x, w, row, "requant_q31", zx=99, zw=2, ratio=float(np.float32(ratio)), zero_point=100, lo=30)
    bias = rng.integers(-(2**31), 2**31, 51).astype(np.int32)
    for shift in range(0, 32):
        check(x * 0, w, row, "requant_q31", bias=bias, ratio=float(np.float32(0.7 * 2.0**-shift)), zero_point=256)


@pytest.mark.parametrize("row", ROWS)
def test_dequant_f32(row):
    rng = np.random.default_rng(7)
    x, w = operands(rng, 7, 37, 120)
    m = rng.uniform(1e-5, 1e-3, 37).astype(np.float32)
    b = rng.normal(0, 2, 37).astype(np.float32)
    for relu in (False, True):
        check(x, w, row, "dequant_f32", zx=121, zw=1, multiplier=m, bias_f32=b, relu=relu)
        check(x, w, row, "dequant_f32", zx=121, multiplier=m[:1], relu=relu)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize(("groups", "n", "k"), [(2, 3, 5), (4, 4, 4), (8, 1, 1), (7, 5, 9), (3, 33, 20), (32, 2, 12)])
def test_groups(row, groups, n, k):
    rng = np.random.default_rng(8)
    x, w = operands(rng, 11, n, k, groups)
    check(x, w, row, groups=groups, zx=9)
    check(x, w, row, groups=groups, zx=9, zw=rng.integers(-128, 128, groups * n))
    check(x, w, row, groups=groups, zx=9, zw=220)  # no int8 weight has the value 0 then


@pytest.mark.parametrize("row", ROWS)
def test_threads_change_nothing(row):
    rng = np.random.default_rng(9)
    before = _threads.get_num_threads()
    _threads.force_teams(True)
    try:
        for threads in (1, 2, 3, 7):
            _threads.set_num_threads(threads)
            for m, n in ((1, 300), (100, 9), (97, 131), (1, 1)):
                check(*operands(rng, m, n, 40), row, zx=3, zw=1)
            check(*operands(rng, 50, 20, 8, groups=5), row, groups=5, zx=3, zw=1)
    finally:
        _threads.force_teams(False)
        _threads.set_num_threads(before)


@pytest.mark.parametrize("row", ROWS)
def test_empty(row):
    for m, n, k in ((0, 3, 4), (3, 0, 4), (2, 3, 0)):
        x, w = np.zeros((m, k), np.uint8), np.zeros((n, k), np.int8)
        packed = _gemm.pack(w, row=row.name)
        got = _gemm.gemm(x, packed, _gemm.Epilogue("raw_s32", n, np.full(n, 5, np.int32)))
        np.testing.assert_array_equal(got, np.full((m, n), 5, np.int32))


def test_refusals():
    w = np.zeros((6, 4), np.int8)
    with pytest.raises(DTypeError, match="int8"):
        _gemm.pack(w.astype(np.uint8))
    with pytest.raises(ShapeError, match="4 groups"):
        _gemm.pack(w, groups=4)
    with pytest.raises(QuantizationError, match="zero points"):
        _gemm.pack(w, zero_point=256)
    with pytest.raises(ArgumentError, match="no gemm row"):
        _gemm.pack(w, row="fast")
    for ratio in (0.0, 1.0, 2.0**-33, float("nan")):
        with pytest.raises(QuantizationError, match="ratio"):
            _gemm.q31_split(ratio)


def test_packed_weight_tells_what_it_is():
    packed = _gemm.pack(np.ones((6, 5), np.int8), groups=2, zero_point=1)
    assert (packed.groups, packed.n, packed.k, packed.shape) == (2, 3, 5, (6, 5))
    assert packed.column_sums.tolist() == [5] * 6
    assert packed.has_zero_points
    assert packed.nbytes > 0
    assert "2 x 3 x 5" in repr(packed)
