"""Convolution of channels-last images as one matrix product over gathered taps, in numpy."""

from __future__ import annotations

import itertools

import numpy as np

from . import gemm


def rows(x, kernel, stride, pads, dilation, groups, padding):
    """uint8 [pixels, groups * taps * c]: what every output pixel sees, group by group; `padding` outside the image.

    x: [batch, size..., channels]; pads: all begins, then all ends. Also returns [batch, out size...].
    """
    dims = len(kernel)
    ends = [(pads[i], pads[dims + i]) for i in range(dims)]
    wide = np.pad(x, [(0, 0), *ends, (0, 0)], constant_values=padding)
    out = [(wide.shape[1 + i] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in range(dims)]
    taps = []
    for tap in itertools.product(*map(range, kernel)):
        begin = [tap[i] * dilation[i] for i in range(dims)]
        cut = tuple(slice(begin[i], begin[i] + (out[i] - 1) * stride[i] + 1, stride[i]) for i in range(dims))
        taps.append(wide[(slice(None), *cut)].reshape(-1, groups, 1, x.shape[-1] // groups))
    return np.concatenate(taps, axis=2).reshape(taps[0].shape[0], -1), (x.shape[0], *out)


def sums(x, w, stride, pads, dilation, groups=1, x_zero_point=0, zero_point=0, bias=None):
    """int32 [batch, out size..., out_channels]. w: int8 [out_channels, kernel..., channels / groups]."""
    gathered, shape = rows(x, w.shape[1:-1], stride, pads, dilation, groups, x_zero_point)
    acc = gemm.sums(gathered, w.reshape(w.shape[0], -1), groups, x_zero_point, zero_point, bias)
    return acc.reshape(*shape, w.shape[0])
