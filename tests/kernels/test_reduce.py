"""Reductions: every instruction set and thread count against numpy definitions with the kernels' own order."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant.kernels.reduce import _reduce

SHAPES = ((1, 1, 1), (3, 5, 1), (2, 16, 1), (4, 17, 1), (2, 100, 1), (3, 4, 5), (2, 7, 300), (1, 3, 257), (5, 0, 2),
          (3, 0, 1), (0, 4, 3), (1, 1000, 1), (1, 50, 33))  # fmt: skip
SHORT = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64"}
LANES = 16


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng((seed, *shape))
    if dtype.startswith("float"):
        return rng.normal(0, 3, shape).astype(dtype)
    return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def in_order(x, step, start):
    """x: (outer, n, inner), one by one."""
    y = np.full((x.shape[0], x.shape[2]), start, x.dtype)
    for i in range(x.shape[1]):
        y = step(y, x[:, i])
    return y


def by_lanes(x, step, start):
    """x: (outer, n, 1), sixteen partial results joined by halves."""
    parts = np.stack([in_order(x[:, k::LANES], step, start)[:, 0] for k in range(LANES)])
    while len(parts) > 1:
        half = len(parts) // 2
        parts = step(parts[:half], parts[half:])
    return parts[0][:, None]


def reduced(x, step, start):
    return by_lanes(x, step, start) if x.shape[2] == 1 else in_order(x, step, start)


@pytest.mark.parametrize("dtype", SHORT)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_reduce(setting, dtype):
    limits = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
    for shape in SHAPES:
        x = numbers(shape, dtype)
        for op, step, start in (
            ("sum", np.add, 0),
            ("max", np.maximum, limits.min),
            ("min", np.minimum, limits.max),
        ):
            y = _reduce.py_reduce(f"reduce_{op}_{SHORT[dtype]}", x)
            np.testing.assert_array_equal(y, reduced(x, step, start), f"{op} {shape}")
        if dtype.startswith("float"):
            want = reduced(x * x, np.add, 0)
            np.testing.assert_array_equal(_reduce.py_reduce(f"reduce_sqr_{SHORT[dtype]}", x), want)
        if dtype == "float32":
            np.testing.assert_array_equal(_reduce.py_reduce("reduce_abs_f32", x), reduced(np.abs(x), np.add, 0))


def test_extremes_pass_nan_over(isa):
    nan, inf = np.nan, np.inf
    x = np.float32([[1, 3, nan, 5, -inf], [nan, 1, 2, 3, 4], [-inf] * 5, [inf] * 5])
    for shape in ((4, 5, 1), (1, 5, 4)):
        v = x.reshape(shape) if shape[2] == 1 else np.ascontiguousarray(x.T)[None]
        np.testing.assert_array_equal(_reduce.py_reduce("reduce_max_f32", v).ravel(), [5, nan, -inf, inf])
        np.testing.assert_array_equal(_reduce.py_reduce("reduce_min_f32", v).ravel(), [-inf, nan, -inf, inf])


@pytest.mark.parametrize("dtype", SHORT)
def test_arg(setting, dtype):
    for shape in SHAPES:
        x = (numbers(shape, "int64") % 5).astype(dtype)  # many equal ones
        for op, numpy_op in (("max", np.argmax), ("min", np.argmin)):
            y = np.empty((shape[0], shape[2]), np.int64)
            _reduce.py_reduce(f"arg_{op}_{SHORT[dtype]}", x, y)
            want = numpy_op(x, axis=1) if shape[1] else np.zeros_like(y)
            np.testing.assert_array_equal(y, want)


def test_arg_with_nan(isa):
    nan = np.nan
    x = np.float32([[1, nan, 3], [nan, 2, 1], [3, 3, nan]])[:, :, None]
    y = np.empty((3, 1), np.int64)
    _reduce.py_reduce("arg_max_f32", x, y)
    assert y.ravel().tolist() == [2, 0, 0]
    _reduce.py_reduce("arg_min_f32", x, y)
    assert y.ravel().tolist() == [0, 0, 0]


def test_top_k(setting):
    for shape in ((3, 9, 1), (2, 1, 1), (2, 20, 3), (1, 300, 1), (4, 6, 5)):
        for spread in (3, 1000):
            x = (numbers(shape, "int64") % spread).astype(np.float32)
            for k in (1, 2, 6, 25):
                values, places, flat = _reduce.py_top_k(x, k)
                order = np.argsort(-x, axis=1, kind="stable")[:, :k]
                size = order.shape[1]
                np.testing.assert_array_equal(places[:, :size], order)
                np.testing.assert_array_equal(values[:, :size], np.take_along_axis(x, order, 1))
                assert (places[:, size:] == -1).all()
                assert (values[:, size:] == 0).all()
                o, _, inner = np.indices(order.shape)
                at = (o * shape[1] + order) * shape[2] + inner
                np.testing.assert_array_equal(flat[:, :size], at)
                assert (flat[:, size:] == -1).all()
