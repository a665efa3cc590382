"""Parameters and values of int8 weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from serverquant.qparams import QParams, choose, choose_weight, dequantize, quantize
from serverquant.quantization.corrections import clipping
from serverquant.quantization.rules import Rule

MIDDLE = 128
BIAS_BITS = 30  # of a bias in the scale of its products: the other half of int32 is for the sums


@dataclass(frozen=True)
class Weight:
    """An int8 weight of the init net. scale: of the blob. scales: by output, for the argument weight_scales, where they
    have scales of their own."""

    blob: str
    scale: float
    scales: tuple[float, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the layer that reads it."""
        return {"weight_scales": self.scales} if self.scales else {}


def quantized(
    value: np.ndarray, rule: Rule, pair_safe: bool, least: float | None = None
) -> tuple[np.ndarray, QParams]:
    """(uint8, their parameters) of weights that share a scale; with fewer bits than 8 they are levels around 128.

    least: the smallest scale; with it the zero point is 128: where the kind gives another, min_max is taken.
    """
    middle = 1 << (rule.weight_bits - 1)
    params = weight_params(value, rule.weights, rule.weight_bits)
    if least is not None:
        if params.zero_point != middle:
            params = weight_params(value, "min_max", rule.weight_bits)._replace(zero_point=middle)  # zeros alone have 0
        params = params._replace(scale=max(params.scale, least))
    if pair_safe:
        params = widened(value, params)
    if rule.power_of_two:
        fraction, exponent = math.frexp(params.scale)
        params = params._replace(scale=math.ldexp(0.5 if fraction == 0.5 else 1.0, exponent))
    stored = quantize(value, params) + np.uint8(MIDDLE - middle)
    return stored, QParams(params.scale, params.zero_point + MIDDLE - middle)


def by_blocks(
    value: np.ndarray, rule: Rule, least: np.ndarray, pair_safe: bool
) -> tuple[np.ndarray, QParams, tuple[float, ...]]:
    """(stored, parameters of the blob, scale of each output) of a weight, outputs first, cut into equal runs of them.
    least: of each run the smallest scale."""
    made = [quantized(part, rule, pair_safe, float(s)) for part, s in zip(np.split(value, len(least)), least)]
    scales = tuple(params.scale for part, params in made for _ in part)
    return np.concatenate([part for part, _ in made]), QParams(max(scales), MIDDLE), scales


def grouped(value: np.ndarray, group: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(values, float32 scales) that a float weight, outputs first, gets from argument quantize_groupwise."""
    parts = np.split(value, group)
    params = [choose_weight(part, kind) for part in parts]
    found = [dequantize(quantize(part, p), p) for part, p in zip(parts, params)]
    return np.concatenate(found), np.array([p.scale for p in params], np.float32)


def least_scales(bias: np.ndarray, sx: float, blocks: int) -> np.ndarray:
    """float32 [blocks]: the smallest weight scales with which biases, counted in s x weight scale, stay below 2^30.
    Outputs whose weights are next to nothing would have scales that no bias fits."""
    most = np.abs(bias.reshape(blocks, -1)).max(axis=1)
    return np.float32(most / (np.float64(sx) * 2**BIAS_BITS))


def weight_params(value: np.ndarray, kind: str, bits: int = 8) -> QParams:
    """Unsigned parameters of a weight: min_max has one scale for both signs, others what `choose_weight` says."""
    if kind == "search":
        return clipping.search(value, bits)
    if kind == "min_max":
        most = float(np.abs(value).max(initial=0.0))
        return choose(-most, most, bits, symmetric=True)
    found = choose_weight(value, kind, bits, symmetric=True)
    return QParams(found.scale, found.zero_point + (1 << (bits - 1)), bits)


def widened(value: np.ndarray, params: QParams) -> QParams:
    """The parameters with the scale made so large that pairs of products fit int16.

    Caffe2 adds products x0 w0 + x1 w1 of neighbours along K in saturating int16: without VNNI everywhere, in its
    depthwise 3x3 kernel on every CPU. With x of 0 to 255 no pair leaves int16 when positive w of a pair add up to at
    most 128, and negative ones to at least -128.
    """
    if params.zero_point != 1 << (params.precision - 1):
        params = weight_params(value, "min_max", params.precision)
    while (worst := _worst_pair(quantize(value, params), params.zero_point)) > 128:
        params = params._replace(scale=float(np.float32(params.scale * worst / 128)))
    return params


def _worst_pair(stored: np.ndarray, zero_point: int) -> int:
    """The largest sum of magnitudes of one sign in pairs along K."""
    signed = stored.reshape(len(stored), -1).astype(np.int32) - zero_point
    pairs = np.pad(signed, ((0, 0), (0, signed.shape[1] % 2))).reshape(-1, 2)
    return int(max(np.maximum(pairs, 0).sum(1).max(initial=0), -np.minimum(pairs, 0).sum(1).min(initial=0)))
