"""Rows quantized by themselves, in numpy. x: float32 [rows, columns]."""

from __future__ import annotations

import numpy as np

from reference.rounding import F, fma

TAIL = {"u8": ("<f4", 8), "u8_half": ("<f2", 4), "u4": ("<f2", 4), "u2": ("<f2", 4), "fake": ("<f4", 8)}
STORED = {"u8": 8, "u8_half": 8, "u4": 4, "u2": 2, "fake": 8}


def quantize(x, form, bits):
    lo, hi = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    if form == "u8":
        scale, bias = (hi - lo) / F(255), lo
        q = np.rint((x - bias) * (F(255) / (hi - lo + F(1e-8))))
    else:
        bias = lo.astype(np.float16).astype(F)
        scale = ((hi - bias) / F(2**bits - 1)).astype(np.float16).astype(F)
        vanished = scale == 0
        scale = np.where((hi == bias) | (vanished & (form != "fake")), F(1), scale)
        q = np.rint((x - bias) * (F(1) / np.where(scale == 0, F(1), scale)))
        q = np.where(scale == 0, 0, q)  # of the fake format, which keeps such a scale
    values = np.clip(q, 0, 2**bits - 1).astype(np.uint8)
    kind, _ = TAIL[form]
    tail = np.concatenate([scale, bias], axis=1).astype(kind).view(np.uint8)
    return np.concatenate([pack(values, STORED[form]), tail], axis=1)


def pack(values, bits):
    each = 8 // bits
    parts = values.reshape(len(values), -1, each)
    return np.bitwise_or.reduce(parts << (np.arange(each, dtype=np.uint8) * bits), axis=2).astype(np.uint8)


def unpack(table, form):
    """(values, scale, bias), floats."""
    kind, tail = TAIL[form]
    body, params = table[:, : table.shape[1] - tail], np.ascontiguousarray(table[:, table.shape[1] - tail :]).view(kind)
    bits = STORED[form]
    each = 8 // bits
    values = (body[:, :, None] >> (np.arange(each, dtype=np.uint8) * bits)) & (2**bits - 1)
    return values.reshape(len(table), -1).astype(F), params[:, :1].astype(F), params[:, 1:].astype(F)


def dequantize(table, form):
    values, scale, bias = unpack(table, form)
    return fma(values, scale, bias)


def bags(values, scale, bias, indices, lengths, weights=None, mean=False):
    """values [rows, columns]; scale and bias [rows, 1], or None for a float table."""
    out = np.zeros((len(lengths), values.shape[1]), F)
    at = 0
    for bag, length in enumerate(lengths):
        for i in range(at, at + length):
            row, w = indices[i], F(1) if weights is None else F(weights[i])
            if row < 0:
                continue
            if scale is None:
                out[bag] = fma(values[row], w, out[bag])
            else:
                out[bag] = fma(values[row], scale[row] * w, out[bag] + bias[row] * w)
        if mean and length:
            out[bag] *= F(1) / F(length)
        at += length
    return out
