"""Packed int8 weights back to the uint8 values of their blob, for those who keep the packed form alone.

Every packing multiplies exactly, so products with inputs that are 1 at one place and 0 elsewhere are the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.kernels.conv._conv import Geometry, conv
from serverquant.kernels.gemm._gemm import Epilogue, gemm
from serverquant.ops.dnnlowp.options import Options
from serverquant.ops.dnnlowp.weights import LayerWeight

AT_ONCE = 256  # weights of every output column
Unpack = Callable[[LayerWeight], np.ndarray]


def conv_unpacker(blob: Blob, group: int, nhwc: bool, options: Options) -> Unpack | None:
    """For `Blob.packed`; None for float weights, which quantizing has changed."""
    return partial(_unpack_conv, blob.dims, group, nhwc, options) if blob.spec().is_int8 else None


def fc_unpacker(blob: Blob, options: Options) -> Unpack | None:
    return partial(_unpack_fc, blob.dims, options) if blob.spec().is_int8 else None


def _unpack_conv(dims: tuple[int, ...], group: int, nhwc: bool, options: Options, weight: LayerWeight) -> np.ndarray:
    kernel, channels = (dims[1:-1], dims[-1]) if nhwc else (dims[2:], dims[1])
    taps, ones = math.prod(kernel), [1] * len(kernel)

    def product(ks: np.ndarray) -> np.ndarray:
        images = np.zeros((len(ks), taps, group, channels), np.uint8)
        images[np.arange(len(ks)), ks // channels, :, ks % channels] = 1
        image = Geometry(kernel, kernel, ones, [0, 0] * len(kernel), ones, group * channels, dims[0], group, len(ks))
        return conv(images.reshape(len(ks), *kernel, -1), image, weight.packed, _sums(dims[0]))

    last = _columns(product, taps * channels, weight).reshape(dims[0], *kernel, channels)
    return _values(last if nhwc else np.moveaxis(last, -1, 1), options)


def _unpack_fc(dims: tuple[int, ...], options: Options, weight: LayerWeight) -> np.ndarray:
    return _values(signed_matrix(weight), options).reshape(dims)


def signed_matrix(weight: LayerWeight) -> np.ndarray:
    """int8 [columns, k] of a fully connected layer."""
    n, k = weight.packed.shape
    return _columns(lambda ks: gemm(_one_hot(ks, k), weight.packed, _sums(n)), k, weight)


def _one_hot(ks: np.ndarray, k: int) -> np.ndarray:
    rows = np.zeros((len(ks), k), np.uint8)
    rows[np.arange(len(ks)), ks] = 1
    return rows


def _sums(columns: int) -> Epilogue:
    return Epilogue("raw_s32", columns, np.zeros(columns, np.int32))


def _columns(product: Callable[[np.ndarray], np.ndarray], k: int, weight: LayerWeight) -> np.ndarray:
    """int8 [columns, k], found AT_ONCE rows at a time."""
    parts = [product(np.arange(at, min(at + AT_ONCE, k))) for at in range(0, k, AT_ONCE)]
    sums = np.concatenate(parts).reshape(k, -1)
    return (sums + weight.packed.zero_points).astype(np.int8).T


def _values(signed: np.ndarray, options: Options) -> np.ndarray:
    """What `read_weight` made signed."""
    return (signed.astype(np.int16) + (1 << (options.weight_precision - 1))).astype(np.uint8)
