"""Sums and products: every instruction set and thread count against the numpy rules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from reference import eltwise as want

from serverquant.kernels.eltwise import _eltwise

LENGTHS = (0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 1000)
PAIRS = (
    ((0.1, 3), (0.2, 7), (0.15, 9)),
    ((0.5, 128), (0.25, 0), (0.5, 255)),
    ((0.0371, 255), (0.0009, 13), (0.0211, 100)),
    ((1e-5, 0), (3.0, 255), (2.0, 0)),
)


def bytes_(n, seed):
    rng = np.random.default_rng((seed, n))
    return np.where(rng.random(n) < 0.1, rng.choice([0, 255], n), rng.integers(0, 256, n)).astype(np.uint8)


@pytest.mark.parametrize("relu", [False, True])
def test_add_fast(setting, relu):
    for n in LENGTHS:
        for k, (a_q, b_q, y_q) in enumerate(PAIRS):
            a, b, y = bytes_(n, k), bytes_(n, k + 9), np.empty(n, np.uint8)
            _eltwise.py_add_u8_fast(a, a_q, b, b_q, y, y_q, relu)
            np.testing.assert_array_equal(y, want.add_fast(a, a_q, b, b_q, y_q, relu))
            _eltwise.py_add_u8_fast(a, a_q, b, b_q, a, y_q, relu)
            np.testing.assert_array_equal(a, y, "in place")


def test_add_fast_all_pairs(isa):
    """Every pair of bytes, in whole blocks and one by one at the end of an array."""
    a, b = (v.ravel().astype(np.uint8) for v in np.meshgrid(np.arange(256), np.arange(256)))
    # Scales of short fractions put many sums on rounding ties.
    for a_q, b_q, y_q in (((0.25, 100), (0.5, 10), (1.0, 7)), ((0.1, 100), (0.3, 10), (0.2, 7)), PAIRS[2]):
        y = np.empty_like(a)
        _eltwise.py_add_u8_fast(a, a_q, b, b_q, y, y_q, False)
        np.testing.assert_array_equal(y, want.add_fast(a, a_q, b, b_q, y_q, False))


def test_add_fast_formulas_differ(isa):
    """The same operands in a whole block and behind the last one give different bytes somewhere: two formulas."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        a_q, b_q, y_q = [(float(rng.integers(1, 99) / 100), int(rng.integers(0, 256))) for _ in range(3)]
        a, b = (np.tile(rng.integers(0, 256, 1).astype(np.uint8), 33) for _ in range(2))
        y = np.empty_like(a)
        _eltwise.py_add_u8_fast(a, a_q, b, b_q, y, y_q, False)
        found += y[0] != y[32]
    assert found > 0


def _random_inputs(rng, count, n, floats):
    inputs = []
    for k in range(count):
        if floats & (1 << k):
            x = rng.normal(0, 2, n).astype(np.float32)
            x[rng.random(n) < 0.1] = rng.choice([np.nan, np.inf, -np.inf, 1e9])
            inputs.append((x, 0.0, 0))
        else:
            x = rng.integers(0, 256, n).astype(np.uint8)
            inputs.append((x, float(rng.uniform(0.001, 0.1)), int(rng.integers(256))))
    return inputs


@pytest.mark.parametrize(("bits", "mid_q"), [(16, (0.0007, 30000)), (16, (0.001, 0)), (8, (0.1, 128))])
def test_sum_slow(setting, bits, mid_q):
    rng = np.random.default_rng(bits)
    for n, count in itertools.product(LENGTHS, (1, 2, 3, 5)):
        inputs = _random_inputs(rng, count, n, int(rng.integers(1 << count)))
        signed, relu = bool(n & 1), bool(count & 1)
        y = np.empty(n, np.uint8)
        _eltwise.py_sum_u8_slow([(*i, 0, 0) for i in inputs], mid_q, bits, signed, y, (0.05, 77), relu)
        np.testing.assert_array_equal(y, want.sum_slow(inputs, mid_q, bits, signed, (0.05, 77), relu))


def test_sum_slow_broadcast(setting):
    """The second input of an Add, matched with the middle of the first."""
    rng = np.random.default_rng(5)
    for pre, mid, post in ((2, 3, 5), (1, 64, 49), (7, 1, 1), (3, 1000, 1), (1, 1, 65), (4, 33, 31)):
        for floats in (0, 2):
            (a, *a_q), (b, *b_q) = (_random_inputs(rng, 2, k, floats)[i] for i, k in enumerate((pre * mid * post, mid)))
            y = np.empty(a.size, np.uint8)
            native = [(a, *a_q, 0, 0), (b, *b_q, mid, post)]
            _eltwise.py_sum_u8_slow(native, (0.0007, 30000), 16, False, y, (0.05, 77), False)
            wide = np.broadcast_to(b[None, :, None], (pre, mid, post)).ravel()
            both = [(a, *a_q), (wide, *b_q)]
            np.testing.assert_array_equal(y, want.sum_slow(both, (0.0007, 30000), 16, False, (0.05, 77), False))


@pytest.mark.parametrize("relu", [False, True])
def test_add_mobile(setting, relu):
    pairs = (*PAIRS[:3], ((100.0, 3), (0.01, 200), (1.0, 128)), ((2.0**-14, 3), (2.0**-13, 200), (1.0, 128)),
             ((2.0**-11, 255), (2.0**-12, 0), (1.0, 4)))  # fmt: skip
    for n in LENGTHS:
        for k, (a_q, b_q, y_q) in enumerate(pairs):
            a, b, y = bytes_(n, k), bytes_(n, k + 9), np.empty(n, np.uint8)
            assert _eltwise.py_add_u8_mobile(a, a_q, b, b_q, y, y_q, relu)
            np.testing.assert_array_equal(y, want.add_mobile(a, a_q, b, b_q, y_q, relu))


def test_add_mobile_refuses_far_scales():
    a = np.zeros(1, np.uint8)
    for sa, sb in ((256.0, 1.0), (1.0, 256.0), (2.0**-15, 1.0), (1.0, 2.0**-15), (np.nan, 1.0)):
        assert not _eltwise.py_add_u8_mobile(a, (sa, 0), a, (sb, 0), a.copy(), (1.0, 0), False)


DTYPES = ("float32", "float64", "int32", "int64")


def numbers(n, dtype, seed):
    rng = np.random.default_rng((seed, n))
    if dtype.startswith("float"):
        x = rng.normal(0, 10, n).astype(dtype)
        x[rng.random(n) < 0.05] = rng.choice(np.array([np.inf, -np.inf, -0.0, 3e38], dtype))
        return x
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, n, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_binary(setting, dtype):
    for n in LENGTHS:
        a, b, y = numbers(n, dtype, 1), numbers(n, dtype, 2), np.empty(n, dtype)
        for op, numpy_op in (("add", np.add), ("mul", np.multiply)):
            _eltwise.py_binary(op, a, b, y)
            np.testing.assert_array_equal(y, numpy_op(a, b))
            z = b.copy()
            _eltwise.py_binary(op, a, z, z)
            np.testing.assert_array_equal(z, y, "in place")


SHAPES = (
    ((), (), ()),
    ((5,), (1,), (5,)),
    ((2, 3, 65), (65,), (2, 3, 65)),
    ((2, 1, 33), (4, 1), (2, 4, 33)),
    ((2, 3, 4, 5), (1, 3, 1, 5), (2, 3, 4, 5)),
    ((7, 1), (1, 9), (7, 9)),
    ((1, 1, 1), (3, 1, 100), (3, 1, 100)),
    ((2, 2, 2, 2, 2, 2, 2), (2, 1, 2, 1, 2, 1, 2), (2, 2, 2, 2, 2, 2, 2)),
    ((3, 0, 2), (2,), (3, 0, 2)),
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_binary_strided(setting, dtype):
    for a_shape, b_shape, shape in SHAPES:
        a, b = (numbers(int(np.prod(s)), dtype, k).reshape(s) for k, s in enumerate((a_shape, b_shape)))
        strides = [[s // a.itemsize for s in np.broadcast_to(v, shape).strides] for v in (a, b)]
        for op, numpy_op in (("add", np.add), ("mul", np.multiply)):
            y = np.empty(shape, dtype)
            _eltwise.py_binary_strided(op, a, strides[0], b, strides[1], y)
            np.testing.assert_array_equal(y, numpy_op(a, b))


def test_binary_strided_any_stride(isa):
    a, b, y = (np.arange(60, dtype=np.float32) + k for k in range(3))
    y = np.empty((3, 5), np.float32)
    _eltwise.py_binary_strided("add", a, [1, 7], b, [20, 2], y)
    i, j = np.indices((3, 5))
    np.testing.assert_array_equal(y, a[i + 7 * j] + b[20 * i + 2 * j])


def test_binary_middle(setting):
    for pre, mid, post in ((2, 3, 5), (1, 64, 49), (7, 1, 1), (3, 100, 1), (1, 1, 65), (0, 2, 2)):
        a, b = numbers(pre * mid * post, "float32", 1).reshape(pre, mid, post), numbers(mid, "float32", 2)
        y = np.empty_like(a)
        _eltwise.py_binary_middle("mul", a, b, y, pre, mid, post)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(y, a * b[None, :, None])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_sum_in_order(setting, dtype):
    for n, count in itertools.product((*LENGTHS, 2500), (1, 2, 3, 7)):
        inputs = [numbers(n, dtype, k) for k in range(count)]
        total = inputs[0].copy()
        for x in inputs[1:]:
            total = total + x
        y = inputs[0]
        _eltwise.py_sum_in_order(inputs, y)
        np.testing.assert_array_equal(y, total)
