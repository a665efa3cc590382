"""Parameters and values of int8 weights."""

from __future__ import annotations

import numpy as np

from serverquant.qparams import QParams, choose, choose_weight, quantize
from serverquant.quantization.corrections import clipping


def weight_params(value: np.ndarray, kind: str) -> QParams:
    """Unsigned parameters of a weight: min_max has one scale for both signs, others what `choose_weight` says."""
    if kind == "search":
        return clipping.search(value)
    if kind == "min_max":
        most = float(np.abs(value).max(initial=0.0))
        return choose(-most, most, symmetric=True)
    found = choose_weight(value, kind, symmetric=True)
    return QParams(found.scale, found.zero_point + 128)


def widened(value: np.ndarray, params: QParams) -> QParams:
    """The parameters with the scale made so large that pairs of products fit int16.

    Caffe2 adds products x0 w0 + x1 w1 of neighbours along K in saturating int16: without VNNI everywhere, in its
    depthwise 3x3 kernel on every CPU. With x of 0 to 255 no pair leaves int16 when positive w of a pair add up to at
    most 128, and negative ones to at least -128.
    """
    if params.zero_point != 128:
        params = weight_params(value, "min_max")
    while (worst := _worst_pair(quantize(value, params))) > 128:
        params = params._replace(scale=float(np.float32(params.scale * worst / 128)))
    return params


def _worst_pair(stored: np.ndarray) -> int:
    """The largest sum of magnitudes of one sign in pairs along K."""
    signed = stored.reshape(len(stored), -1).astype(np.int32) - 128
    pairs = np.pad(signed, ((0, 0), (0, signed.shape[1] % 2))).reshape(-1, 2)
    return int(max(np.maximum(pairs, 0).sum(1).max(initial=0), -np.minimum(pairs, 0).sum(1).min(initial=0)))
