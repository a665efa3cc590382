"""Plain numpy definitions of convolution and pooling in 1 to 3 dimensions, in NCHW; slow, and readable."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np


def to_nchw(x: np.ndarray, order: str) -> np.ndarray:
    """A view with the channels in axis 1."""
    return x if order == "NCHW" else np.moveaxis(x, -1, 1)


def from_nchw(x: np.ndarray, order: str) -> np.ndarray:
    """A contiguous array with the channels where `order` has them."""
    return np.ascontiguousarray(x if order == "NCHW" else np.moveaxis(x, 1, -1))


def taps(kernel) -> Iterator[tuple[int, ...]]:
    """The window's places, row-major."""
    return itertools.product(*map(range, kernel))


def im2col(x: np.ndarray, kernel, strides, pads, dilations, out_sizes, fill=0) -> np.ndarray:
    """x [N, C, *in] to [N, C, taps, *out]; `fill` is the padding's value."""
    dims = len(kernel)
    need = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out_sizes, strides, kernel, dilations)]
    ends = [max(0, n - x.shape[2 + a] - pads[a]) for a, n in enumerate(need)]
    padded = np.pad(x, [(0, 0), (0, 0), *((pads[a], ends[a]) for a in range(dims))], constant_values=fill)
    columns = [
        padded[
            (..., *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilations, out_sizes, strides)))
        ]
        for tap in taps(kernel)
    ]
    return np.stack(columns, axis=2)


def conv(x, weights, bias, strides, pads, dilations, groups, out_sizes) -> np.ndarray:
    """float64 convolution: x [N, C, *in], weights [M, C / groups, *kernel], bias [M] or None -> [N, M, *out]."""
    columns = im2col(x.astype(np.float64), weights.shape[2:], strides, pads, dilations, out_sizes)
    n, c, count = columns.shape[:3]
    columns = columns.reshape(n, groups, c // groups, count, -1)
    w = weights.astype(np.float64).reshape(groups, weights.shape[0] // groups, c // groups, count)
    y = np.einsum("ngctp,gmct->ngmp", columns, w).reshape(n, weights.shape[0], *out_sizes)
    return y if bias is None else y + bias.reshape(-1, *(1,) * len(out_sizes))


def conv_chain(x, weights, bias, strides, pads, dilations, groups, out_sizes) -> np.ndarray:
    """The definition of the fp32 kernels' bits, for operands whose products are exact in float32: taps outermost,
    channels innermost, every sum rounded to float32, the bias last."""
    columns = im2col(x, weights.shape[2:], strides, pads, dilations, out_sizes)
    n, c, count = columns.shape[:3]
    columns = columns.reshape(n, groups, 1, c // groups, count, -1)
    w = weights.reshape(groups, weights.shape[0] // groups, c // groups, count, 1)
    acc = np.zeros(np.broadcast_shapes(columns[:, :, :, 0, 0].shape, (1, *w[:, :, 0, 0].shape)), np.float32)
    for t in range(count):
        for i in range(c // groups):
            acc = acc + columns[:, :, :, i, t] * w[:, :, i, t]
    y = acc.reshape(n, weights.shape[0], *out_sizes)
    return y if bias is None else y + bias.reshape(-1, *(1,) * len(out_sizes))


def window_counts(kernel, strides, pads, in_sizes, out_sizes) -> np.ndarray:
    """How many elements of the image each output's window covers, [*out]."""
    ones = np.ones((1, 1, *in_sizes))
    return im2col(ones, kernel, strides, pads, (1,) * len(kernel), out_sizes)[0, 0].sum(axis=0)


def max_pool(x, kernel, strides, pads, out_sizes) -> np.ndarray:
    """x [N, C, *in]; padding never wins."""
    lowest = np.finfo(np.float32).min if x.dtype == np.float32 else 0
    return im2col(x, kernel, strides, pads, (1,) * len(kernel), out_sizes, lowest).max(axis=2)


def average_pool(x, kernel, strides, pads, out_sizes, include_pad) -> np.ndarray:
    """float32 to the bit: one addition after the other, row-major, then times the rounded reciprocal."""
    columns = im2col(x, kernel, strides, pads, (1,) * len(kernel), out_sizes)
    total = np.zeros_like(columns[:, :, 0])
    for t in range(columns.shape[2]):
        total = total + columns[:, :, t]
    counts = window_counts(kernel, strides, pads, x.shape[2:], out_sizes)
    return total * (
        np.float32(1) / np.float32(np.prod(kernel)) if include_pad else np.float32(1) / counts.astype(np.float32)
    )


def pool_sums(x, kernel, strides, pads, out_sizes, x_zero) -> np.ndarray:
    """int64 sums of x - x_zero over the elements inside the image."""
    shifted = x.astype(np.int64) - x_zero
    return im2col(shifted, kernel, strides, pads, (1,) * len(kernel), out_sizes).sum(axis=2)


def average_pool_server(x, kernel, strides, pads, out_sizes, x_zero, ratio, y_zero, fused) -> np.ndarray:
    """The server's uint8 average; fused: the rounding of NHWC."""
    acc = pool_sums(x, kernel, strides, pads, out_sizes, x_zero)
    m = np.float32(ratio) / window_counts(kernel, strides, pads, x.shape[2:], out_sizes).astype(np.float32)
    if fused:  # acc < 2^24 and m of 24 bits: the product is exact in double
        value = (acc.astype(np.float64) * m + y_zero).astype(np.float32)
    else:
        value = acc.astype(np.float32) * m + np.float32(y_zero)
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)


def average_pool_mobile(x, kernel, strides, pads, out_sizes, x_scale, x_zero, y_scale, y_zero, low) -> np.ndarray:
    """The mobile uint8 average, with Python's unlimited integers: padding is x_zero, the divisor the full kernel."""
    mantissa, exponent = np.frexp(np.float32(x_scale) / np.float32(np.float32(y_scale) * np.float32(np.prod(kernel))))
    multiplier, shift = int(mantissa * 2**24), 24 - int(exponent)
    acc = pool_sums(x, kernel, strides, pads, out_sizes, x_zero)
    value = [
        (abs(a) * multiplier + (1 << shift - 1) >> shift) * (1 if a >= 0 else -1) + y_zero for a in acc.ravel().tolist()
    ]
    return np.clip(np.array(value).reshape(acc.shape), low, 255).astype(np.uint8)
