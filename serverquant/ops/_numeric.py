"""What operators with numpy bodies compute by the library's own kernels: numpy's versions differ between machines."""

from __future__ import annotations

import numpy as np

from serverquant.kernels.binary import _binary
from serverquant.kernels.reduce import _reduce
from serverquant.kernels.unary import _unary

TINY = np.float32(1e-20)  # logarithms are taken of nothing smaller


def exp(x: np.ndarray) -> np.ndarray:
    return _unary.py_map("exp_f32", np.asarray(x, np.float32))


def log(x: np.ndarray) -> np.ndarray:
    return _unary.py_map("log_f32", np.asarray(x, np.float32))


def log_safe(x: np.ndarray) -> np.ndarray:
    """ln(max(x, 1e-20)); NaN counts as the smallest."""
    return log(np.fmax(x, TINY))


def log_one_more(x: np.ndarray) -> np.ndarray:
    """ln(1 + x) in double precision."""
    return _unary.py_map("log_f64", 1.0 + x.astype(np.float64))


def power(x: np.ndarray, exponent: float) -> np.ndarray:
    """x ^ exponent of a row."""
    x = np.ascontiguousarray(x, np.float32)
    y = np.empty_like(x)
    _binary.py_binary_strided("pow_f32", x, (1,), np.array([exponent], np.float32), (0,), y)
    return y


def sum_rows(x: np.ndarray) -> np.ndarray:
    """Sums of the rows of a float matrix."""
    return _reduce.py_reduce("reduce_sum_f32", np.asarray(x, np.float32)[:, :, None])[:, 0]


def sum_all(x: np.ndarray) -> np.float32:
    return sum_rows(np.asarray(x).reshape(1, -1))[0]
