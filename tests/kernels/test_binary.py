"""Sums, products, comparisons and logic of plain numbers: every instruction set and thread count against numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from serverquant.kernels.binary import _binary

LENGTHS = (0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 1000, 1025)
SHORT = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "bool": "b8"}
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
def test_arithmetic(setting, dtype):
    for n in LENGTHS:
        a, b, y = numbers(n, dtype, 1), numbers(n, dtype, 2), np.empty(n, dtype)
        for op, numpy_op in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
            _binary.py_binary(f"{op}_{SHORT[dtype]}", a, b, y)
            np.testing.assert_array_equal(y, numpy_op(a, b))
            z = b.copy()
            _binary.py_binary(f"{op}_{SHORT[dtype]}", a, z, z)
            np.testing.assert_array_equal(z, y, "in place")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_division(isa, dtype):
    a, b, y = numbers(999, dtype, 1), numbers(999, dtype, 2), np.empty(999, dtype)
    b[b == 0] = 3
    b[::7] = -1
    _binary.py_binary(f"div_{SHORT[dtype]}", a, b, y)
    if dtype.startswith("float"):
        np.testing.assert_array_equal(y, a / b)
    else:
        a[0], b[0] = np.iinfo(dtype).min, -1
        _binary.py_binary(f"div_{SHORT[dtype]}", a, b, y)
        assert y[0] == a[0]
        towards_zero = [abs(int(p)) // abs(int(q)) * (1 if (p < 0) == (q < 0) else -1) for p, q in zip(a[1:], b[1:])]
        assert y[1:].tolist() == towards_zero


@pytest.mark.parametrize("dtype", [*DTYPES, "bool"])
def test_comparisons(setting, dtype):
    compare = {"lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal}
    for n in LENGTHS:
        a, b = (numbers(n, "int32", k) % 4 - 1 for k in (1, 2))
        a, b, y = a.astype(dtype), b.astype(dtype), np.empty(n, np.bool_)
        if dtype.startswith("float"):
            a[::5] = np.nan
        for op, numpy_op in compare.items():
            _binary.py_binary(f"{op}_{SHORT[dtype]}", a, b, y)
            np.testing.assert_array_equal(y, numpy_op(a, b))


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_bits(setting, dtype):
    for n in LENGTHS:
        a, b = (numbers(n, "int64", k).astype(dtype) for k in (1, 2))
        y = np.empty(n, dtype)
        for op, numpy_op in (("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)):
            _binary.py_binary(f"{op}_{SHORT[dtype]}", a, b, y)
            np.testing.assert_array_equal(y, numpy_op(a, b))


def test_prelu(setting):
    a, b, y = numbers(1000, "float32", 1), numbers(1000, "float32", 2), np.empty(1000, np.float32)
    with np.errstate(all="ignore"):
        _binary.py_binary("prelu_f32", a, b, y)
        np.testing.assert_array_equal(y, np.where(a > 0, a, a * b))


def test_pow(isa):
    a, b = np.abs(numbers(3000, "float32", 1)) / 5, numbers(3000, "float32", 2) / 5
    special = np.float32([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 0.5, -2, 3, 1e38, -1e38, 2.0**24 + 2, 2.0**23 + 1])
    x, y = np.meshgrid(special, special)
    a, b = np.concatenate([a, x.ravel()]), np.concatenate([b, y.ravel()])
    got = np.empty_like(a)
    _binary.py_binary("pow_f32", a, b, got)
    with np.errstate(all="ignore"):
        want = np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    np.testing.assert_array_almost_equal_nulp(got[finite], want[finite], 1)
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(want[got == 0]))


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
        strides = [tuple(s // a.itemsize for s in np.broadcast_to(v, shape).strides) for v in (a, b)]
        for op, numpy_op in (("add", np.add), ("mul", np.multiply)):
            y = np.empty(shape, dtype)
            _binary.py_binary_strided(f"{op}_{SHORT[dtype]}", a, strides[0], b, strides[1], y)
            np.testing.assert_array_equal(y, numpy_op(a, b))


def test_binary_strided_any_stride(isa):
    a, b, y = (np.arange(60, dtype=np.float32) + k for k in range(3))
    y = np.empty((3, 5), np.float32)
    _binary.py_binary_strided("add_f32", a, (1, 7), b, (20, 2), y)
    i, j = np.indices((3, 5))
    np.testing.assert_array_equal(y, a[i + 7 * j] + b[20 * i + 2 * j])


def test_binary_middle(setting):
    for pre, mid, post in ((2, 3, 5), (1, 64, 49), (7, 1, 1), (3, 100, 1), (1, 1, 65), (0, 2, 2)):
        a, b = numbers(pre * mid * post, "float32", 1).reshape(pre, mid, post), numbers(mid, "float32", 2)
        y = np.empty_like(a)
        _binary.py_binary_middle("mul_f32", a, b, y, pre, mid, post)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(y, a * b[None, :, None])


def folded(inputs, step):
    total = inputs[0].copy()
    for x in inputs[1:]:
        total = step(total, x)
    return total


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_sum(setting, dtype):
    for n, count in itertools.product((*LENGTHS, 2500), (1, 2, 3, 7)):
        inputs = [numbers(n, dtype, k) for k in range(count)]
        y = inputs[0].copy()
        _binary.py_fold(f"sum_{SHORT[dtype]}", [y, *inputs[1:]], y)
        np.testing.assert_array_equal(y, folded(inputs, np.add))


def test_extremes(setting):
    for op, step in (("max_f32", lambda y, x: np.where(x > y, x, y)), ("min_f32", lambda y, x: np.where(x < y, x, y))):
        for n, count in itertools.product(LENGTHS, (1, 2, 3)):
            inputs = [numbers(n, "float32", k) for k in range(count)]
            inputs[-1][::9] = np.nan
            y = np.empty(n, np.float32)
            _binary.py_fold(op, inputs, y)
            np.testing.assert_array_equal(y, folded(inputs, step))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_folds_that_finish(setting):
    for count in (1, 2, 3):
        inputs = [numbers(1500, "float32", k) / 1e30 for k in range(count)]
        total, y = folded(inputs, np.add), np.empty(1500, np.float32)
        _binary.py_fold("sum_relu_f32", inputs, y)
        np.testing.assert_array_equal(y, np.where(total > 0, total, 0))
        _binary.py_fold("mean_f32", inputs, y)
        np.testing.assert_array_equal(y, total * (np.float32(1) / np.float32(count)))
