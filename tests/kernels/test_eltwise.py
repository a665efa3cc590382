"""Sums of int8 arrays: every instruction set and thread count against the numpy rules."""

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
