"""fp32 products: every row of the table against a float64 product, and bit for bit against the scalar row."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant._base import _threads
from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.kernels.gemm_f32 import _gemm_f32 as gemm_f32
from serverquant.kernels.unary import _unary

ROWS = gemm_f32.rows()
# One less, equal, one more than tiles, vectors and blocks of K.
SIZES = [(1, 1, 1), (2, 4, 3), (3, 5, 7), (5, 15, 1), (6, 16, 17), (7, 17, 33), (1, 130, 65), (13, 63, 8), (12, 64, 64),
         (97, 65, 31), (23, 31, 1030), (8, 33, 4100), (1, 7, 4100), (4, 3, 0),
         # Narrow: 16 rows at a time, lines of 16 columns, steps of 4.
         (15, 1, 16), (16, 1, 16), (17, 2, 15), (37, 3, 29), (48, 4, 67), (33, 1, 1030), (20, 4, 0),
         (64, 5, 33)]  # fmt: skip


def operands(m: int, n: int, k: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((m, k), dtype=np.float32),
        rng.standard_normal((n, k), dtype=np.float32),
        rng.standard_normal(n, dtype=np.float32),
    )


@pytest.fixture
def teams():
    """Whole teams for the smallest work."""
    before = _threads.get_num_threads()
    _threads.force_teams(True)
    yield _threads.set_num_threads
    _threads.force_teams(False)
    _threads.set_num_threads(before)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_row(row, m, n, k):
    if not row.supported:
        pytest.skip(f"this machine has no {row.isa}")
    a, w, bias = operands(m, n, k)
    got = gemm_f32.gemm(a, gemm_f32.pack(w, row=row.name), bias)
    want = a.astype(np.float64) @ w.T.astype(np.float64) + bias
    bound = np.abs(a).astype(np.float64) @ np.abs(w.T).astype(np.float64) + np.abs(bias)
    assert np.all(np.abs(got - want) <= (k + 2) * 2.0**-24 * bound)
    assert got.tobytes() == gemm_f32.gemm(a, gemm_f32.pack(w, row=ROWS[-1].name), bias).tobytes()


def test_formula():
    """The chain itself, element by element, with doubles that hold each fused step exactly."""
    a, w, bias = operands(3, 5, 40)
    acc = np.zeros((3, 5), np.float32)
    # 24-bit factors: the product is exact in double, and the sum is rounded once more only on rare ties.
    a, w = (np.round(v * 64).astype(np.float32) / 64 for v in (a, w))
    for k in range(40):
        acc = (a[:, k, None].astype(np.float64) * w[:, k] + acc).astype(np.float32)
    got = gemm_f32.gemm(a, gemm_f32.pack(w), bias)
    assert np.array_equal(got, acc + bias)
    assert np.array_equal(gemm_f32.gemm(a, gemm_f32.pack(w)), acc)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_special_values(row):
    """NaN and infinity travel, bounds keep NaN and -0, the upper one wins."""
    if not row.supported:
        pytest.skip(f"this machine has no {row.isa}")
    a = np.array([[np.nan], [np.inf], [-np.inf], [-1], [0]], np.float32)
    w = np.ones((19, 1), np.float32)
    got = gemm_f32.gemm(a, gemm_f32.pack(w, row=row.name), np.full(19, -0.0, np.float32), bounds=(0, np.inf))
    want = np.array([np.nan, np.inf, 0, 0, 0], np.float32)
    assert np.array_equal(got, np.repeat(want[:, None], 19, 1), equal_nan=True)
    assert gemm_f32.gemm(a, gemm_f32.pack(w, row=row.name))[1, 0] == np.inf
    for bounds in ((0, 6), (-0.5, 0.5), (2, 1), (np.nan, np.nan)):
        got = gemm_f32.gemm(a, gemm_f32.pack(w, row=row.name), bounds=bounds)
        clipped = _unary.py_map("clip_f32", np.repeat(a, 19, 1) + 0, a=bounds[0], b=bounds[1])
        assert got.tobytes() == clipped.tobytes()


@pytest.mark.parametrize("groups", [1, 3])
def test_groups(groups):
    a, w, bias = operands(5, 17 * groups, 20)
    packed = gemm_f32.pack(w, groups)
    assert (packed.groups, packed.n, packed.k) == (groups, 17, 20)
    for g in range(groups):
        part = slice(17 * g, 17 * g + 17)
        alone = gemm_f32.gemm(a, gemm_f32.pack(w[part]), bias[part])
        assert gemm_f32.gemm(a, packed, bias[part], group=g).tobytes() == alone.tobytes()


@pytest.mark.parametrize(("m", "n", "k"), [(1, 200, 30), (100, 20, 30), (37, 131, 1100)])
def test_threads(teams, m, n, k):
    a, w, bias = operands(m, n, k)
    packed = gemm_f32.pack(w)
    teams(1)
    want = gemm_f32.gemm(a, packed, bias, bounds=(0, np.inf))
    for count in (2, 3, 7):
        teams(count)
        assert gemm_f32.gemm(a, packed, bias, bounds=(0, np.inf)).tobytes() == want.tobytes()


def test_refusals():
    a, w, bias = operands(2, 3, 4)
    packed = gemm_f32.pack(w)
    with pytest.raises(ShapeError):
        gemm_f32.gemm(a[:, :3], packed)
    with pytest.raises(ShapeError):
        gemm_f32.gemm(a, packed, bias[:2])
    with pytest.raises(DTypeError):
        gemm_f32.gemm(a.astype(np.float64), packed)
    with pytest.raises(ShapeError):
        gemm_f32.pack(w, groups=2)
    with pytest.raises(ArgumentError):
        gemm_f32.pack(w, row="none")
    with pytest.raises(ArgumentError):
        gemm_f32.gemm(a, packed, group=1)
