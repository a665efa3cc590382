"""Unary maps: accuracy against double precision, special values, and the same bytes on every setting."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from serverquant.kernels.unary import _unary

NAN, INF = np.nan, np.inf
SPECIAL = np.float32([0, -0.0, INF, -INF, NAN, 1, -1, 0.5, -0.5, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 88.7, -88.7])


def points(lo=-80.0, hi=80.0):
    rng = np.random.default_rng(5)
    spread = np.exp(rng.uniform(lo, hi, 1500)) * rng.choice([-1, 1], 1500)
    return np.concatenate([SPECIAL, rng.normal(0, 1, 1500), rng.normal(0, 15, 1500), spread]).astype(np.float32)


# name -> (numpy on doubles, units in the last place that may be off)
REFERENCES = {
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "tan": (np.tan, 1),
    "asin": (np.arcsin, 1),
    "acos": (np.arccos, 1),
    "atan": (np.arctan, 1),
    "sinh": (np.sinh, 1),
    "cosh": (np.cosh, 1),
    "tanh": (np.tanh, 2),
    "erf": (np.vectorize(math.erf), 2),
    "cbrt": (np.cbrt, 1),
    "sqrt": (np.sqrt, 0.5),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), 1),
    "reciprocal": (lambda x: 1 / x, 0.5),
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_accuracy(isa, name):
    exact, units = REFERENCES[name]
    x = points()
    y, want = _unary.py_map(f"{name}_f32", x), exact(x.astype(np.float64))
    rounded = want.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(rounded))
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(y[np.isinf(rounded)], rounded[np.isinf(rounded)])
    error = np.abs(y[finite] - want[finite]) / np.spacing(np.abs(rounded[finite])).astype(np.float64)
    assert error.max() <= units + 1e-6
    if name not in ("cos", "cosh", "acos", "exp"):  # odd functions keep the sign of 0
        assert np.signbit(y[1]) or name == "log"


def test_angles_of_any_size(isa):
    """Beyond 2^30 the reduction takes another way; near multiples of pi/2 it is tried hardest."""
    x = np.float32([2.0**30, -(2.0**30), 2.0**31 + 256, 3.0e9, 1e20, -1e20, 1.5e38, 3.4e38, 6.1e33, 16367173.0 * 2**72])
    y = np.float32([2.0**29, 1e9, 16367173.0, 355.0, 103993.0, -(2.0**24)])
    for name, exact in (("sin", np.sin), ("cos", np.cos), ("tan", np.tan)):
        for v in (x, y, np.concatenate([np.linspace(-9, 9, 700, dtype=np.float32), x])):
            np.testing.assert_array_almost_equal_nulp(
                _unary.py_map(f"{name}_f32", v), exact(v.astype(np.float64)).astype(np.float32), 1
            )


def f(x):
    return np.float32(x)


# Formulas with Caffe2's own roundings, from our exponential and logarithm.
def our(name, x):
    return _unary.py_map(f"{name}_f32", x)


FORMULAS = {
    "sigmoid": lambda x: f(1) / (f(1) + our("exp", -x)),
    "swish": lambda x: x / (f(1) + our("exp", -x)),
    "softplus": lambda x: our("log", our("exp", x) + f(1)),
    "softsign": lambda x: x / (f(1) + np.abs(x)),
    "elu": lambda x: np.where(x < 0, f(0.7) * (our("exp", x) - f(1)), x),
    "selu": lambda x: f(1.3) * np.where(x <= 0, f(0.7) * our("exp", x) - f(0.7), x),
    "leaky_relu": lambda x: np.where(x < 0, x * f(0.7), x),
    "thresholded_relu": lambda x: np.where(x > f(0.7), x, f(0)),
    "hard_sigmoid": lambda x: np.clip(f(0.7) * x + f(1.3), 0, 1),
    "relu_n": lambda x: np.where(x > f(0.7), f(0.7), np.where(x < 0, f(0), x)),
    "scale": lambda x: x * f(0.7),
    "abs": np.abs,
    "negative": np.negative,
    "sign": lambda x: np.where(np.isnan(x), f(0), np.sign(x)),
    "ceil": np.ceil,
    "floor": np.floor,
    "sqr": lambda x: x * x,
    "cube": lambda x: x * x * x,
    "rsqrt": lambda x: f(1) / np.sqrt(x),
    "replace_nan": lambda x: np.where(np.isnan(x), f(0.7), x),
    "power_half": lambda x: np.where(x == -INF, f(INF), np.sqrt(x) + f(0)),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_formulas(setting, name):
    x = points()
    y = _unary.py_map(f"{name}_f32", x, a=0.7, b=1.3)
    np.testing.assert_array_equal(y, FORMULAS[name](x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_logit_and_gelu(isa):
    x = points(-8, 3)
    inside = np.clip(x, f(0.1), f(1) - f(0.1))
    np.testing.assert_array_equal(_unary.py_map("logit_f32", x, a=0.1), our("log", inside / (f(1) - inside)))
    x = x[np.isfinite(x)]
    wide = x.astype(np.float64)
    gelu = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
    np.testing.assert_allclose(our("gelu", x), gelu, rtol=1e-6, atol=1e-6)
    fast = wide * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    np.testing.assert_allclose(our("fast_gelu", x), fast, rtol=1e-6, atol=1e-6)


def test_other_types(setting):
    whole = np.array([0, 1, -1, 5, -7, 2**31 - 1, -(2**31)], np.int32)
    for x in (whole, np.concatenate([whole, [2**62, -(2**63)]]).astype(np.int64)):
        short = {4: "i32", 8: "i64"}[x.itemsize]
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(_unary.py_map(f"negative_{short}", x), -x)
            np.testing.assert_array_equal(_unary.py_map(f"cube_{short}", x), x * x * x)
        np.testing.assert_array_equal(_unary.py_map(f"sign_{short}", x), np.sign(x))
        for n in (3, -3, 1, -1):
            np.testing.assert_array_equal(_unary.py_map(f"mod_{short}", x, n=n), np.fmod(x, n))
            np.testing.assert_array_equal(_unary.py_map(f"mod_{short}", x, n=n, flag=True), np.mod(x, n))
    x = np.array([0, -0.0, 1.5, -2.25, NAN, INF, -INF])
    np.testing.assert_array_equal(_unary.py_map("sqrt_f64", np.abs(x)), np.sqrt(np.abs(x)))
    np.testing.assert_array_equal(_unary.py_map("scale_f64", x, a=0.7), x * np.float64(np.float32(0.7)))
    np.testing.assert_array_equal(_unary.py_map("is_nan_f64", x, np.empty(7, np.uint8)), np.isnan(x))
    np.testing.assert_array_equal(_unary.py_map("not_b8", np.array([True, False])), [False, True])
    np.testing.assert_allclose(
        _unary.py_map("mish_f64", x[:4]), x[:4] * np.tanh(np.log1p(np.exp(x[:4]))), rtol=1e-14, atol=0
    )


TYPES = {"f32": "f4", "f64": "f8", "i32": "i4", "i64": "i8", "i16": "i2", "i8": "i1", "u16": "u2", "u8": "u1"}
TYPES["b8"] = "?"


def converted(x, to):
    """Towards zero through int32 (int64 for int64), out of range the lowest; then the low bits."""
    if x.dtype.kind == "f" and TYPES[to][0] in "iu":
        wide = np.int64 if to == "i64" else np.int32
        limit = -float(np.iinfo(wide).min)
        fits = (x > -limit - 1) & (x < limit) if wide is np.int32 else (x >= -limit) & (x < limit)
        whole = np.where(fits, np.trunc(np.where(fits, x, 0)), -limit).astype(wide)
        return whole.astype(TYPES[to])
    return x.astype(TYPES[to])


@pytest.mark.parametrize("source", TYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_casts(isa, source):
    numbers = np.array([0, 1, 2, 100, 127, 128, 200, 255, 256, 40000, 70000, 2**31 - 1, 2**31, 2**40 + 3, 2**63 - 1])
    x = np.concatenate([numbers, -numbers]).astype(TYPES[source])
    if x.dtype.kind == "f":
        x = np.concatenate([x, [0.5, -0.5, 1.999, -1.999, 2.5e9, -2.5e9, 1e19, -1e19, NAN, INF, -INF]]).astype(x.dtype)
    for to, dtype in TYPES.items():
        y = _unary.py_map(f"cast_{source}_{to}", x, np.empty(x.size, dtype))
        np.testing.assert_array_equal(y, converted(x, to), f"{source} to {to}")


# Digests of all maps on the points above: the same on every instruction set, thread count and machine.
def test_same_bytes_everywhere(setting, request):
    names = [row.name[3 : -len("_scalar")] for row in _unary.rows() if row.isa == "scalar" and "_f32" in row.name]
    state = hashlib.sha256()
    for name in sorted(n for n in names if not n.startswith(("cast", "is_"))):
        y = _unary.py_map(name, points(), a=0.7, b=1.3)
        y[np.isnan(y)] = NAN
        state.update(y.tobytes())
    first = request.config.stash.setdefault(DIGEST, state.hexdigest())
    assert state.hexdigest() == first


DIGEST = pytest.StashKey[str]()
