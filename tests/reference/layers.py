"""Plain definitions of float layers, as doubles, one loop an output where that is clearest."""

from __future__ import annotations

import itertools

import numpy as np


def transposed_conv(x, w, strides, pads, adjs, groups, bias=None):
    """x [N, M, H, W], w [M, C / groups, kh, kw]: every input pixel adds to the outputs under the window."""
    n, inputs, *sizes = x.shape
    per_group, kernel = w.shape[1], w.shape[2:]
    full = [(s - 1) * t + k + a for s, t, k, a in zip(sizes, strides, kernel, adjs)]
    y = np.zeros((n, per_group * groups, *full))
    for m in range(inputs):
        group = m // (inputs // groups)
        for at in itertools.product(*map(range, sizes)):
            for tap in itertools.product(*map(range, kernel)):
                to = tuple(a * s + t for a, s, t in zip(at, strides, tap))
                for c in range(per_group):
                    y[(slice(None), group * per_group + c, *to)] += x[(slice(None), m, *at)] * float(w[(m, c, *tap)])
    begins, ends = pads[:2], pads[2:]
    y = y[:, :, begins[0] : full[0] - ends[0], begins[1] : full[1] - ends[1]]
    return y if bias is None else y + bias[:, None, None]


def local_conv(x, w, strides, pads, groups, bias=None):
    """x [N, C, H, W], w [OH, OW, M, C / groups, kh, kw], bias [OH, OW, M]."""
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    out_h, out_w, outputs, channels, *kernel = w.shape
    y = np.zeros((len(x), outputs, out_h, out_w))
    for oy, ox, m in itertools.product(range(out_h), range(out_w), range(outputs)):
        c0 = m // (outputs // groups) * channels
        part = x[:, c0 : c0 + channels, oy * strides[0] :, ox * strides[1] :][:, :, : kernel[0], : kernel[1]]
        y[:, m, oy, ox] = (part * w[oy, ox, m]).sum((1, 2, 3)) + (0 if bias is None else bias[oy, ox, m])
    return y


def image_to_columns(x, kernel, strides, pads):
    """x [N, C, H, W]: [N, C, kh, kw, OH, OW]."""
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))[:, :, :: strides[0], :: strides[1]]
    return windows.transpose(0, 1, 4, 5, 2, 3)


def local_response(x, size, alpha, beta, bias):
    """x [N, C, ...]: (Y, scale)."""
    squares, scale = np.square(x.astype(np.float64)), np.full(x.shape, bias, np.float64)
    half = (size - 1) // 2
    for c in range(x.shape[1]):
        scale[:, c] += alpha / size * squares[:, max(c - half, 0) : c - half + size].sum(1)
    return x * scale**-beta, scale


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def lstm_cell(h, c, gates, forget_bias=0.0):
    """Gates i, f, o, g side by side: (H, C)."""
    i, f, o, g = np.split(gates.astype(np.float64), 4, axis=-1)
    cell = sigmoid(f + forget_bias) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell
