"""Parameters and values of int8 weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from serverquant.qparams import DEFAULTS, QParams, choose, choose_weight, dequantize, quantize
from serverquant.quantization.corrections import clipping
from serverquant.quantization.rules import Rule

MIDDLE = 128
SUM = 2**31 - 2**25  # of products in int32: the rest is for biases that are corrected
BIAS_BITS = 30  # of a bias in the scale of its products: the other half of int32 is for the sums


@dataclass(frozen=True)
class Weight:
    """An int8 weight of the init net. scale: of the blob. scales: by output, for the argument weight_scales, where they
    have scales of their own. wide: of uint16."""

    blob: str
    scale: float
    bits: int = 8
    scales: tuple[float, ...] = ()
    wide: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the layer that reads it."""
        if self.wide and self.bits != 8:
            return {"weight_precision": self.bits}
        return {"weight_scales": self.scales} if self.scales else {}


def quantized(
    value: np.ndarray, rule: Rule, room: int | None, least: float | None = None
) -> tuple[np.ndarray, QParams]:
    """(uint8, their parameters) of weights that share a scale; with fewer bits than 8 they are levels around 128.

    room: of pairs, see `widened`, or None where they may add up to anything. least: the smallest scale; with it the
    zero point is 128: where the kind gives another, min_max is taken.
    """
    middle = 1 << (rule.weight_bits - 1)
    params = _chosen(value, rule)
    if least is not None:
        if params.zero_point != middle:
            params = weight_params(value, "min_max", rule.weight_bits)._replace(zero_point=middle)  # zeros alone have 0
        params = params._replace(scale=max(params.scale, least))
    if room is not None:
        params = widened(value, params, room)
    if rule.power_of_two:
        params = _rounded_up(params)
    stored = quantize(value, params) + np.uint8(MIDDLE - middle)
    return stored, QParams(params.scale, params.zero_point + MIDDLE - middle)


def by_blocks(
    value: np.ndarray, rule: Rule, least: np.ndarray, room: int | None
) -> tuple[np.ndarray, QParams, tuple[float, ...]]:
    """(stored, parameters of the blob, scale of each output) of a weight, outputs first, cut into equal runs of them.
    least: of each run the smallest scale."""
    made = [quantized(part, rule, room, float(s)) for part, s in zip(np.split(value, len(least)), least)]
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


def _chosen(value: np.ndarray, rule: Rule) -> QParams:
    """Unsigned parameters of a weight; without symmetry those of Caffe2 where it quantizes one itself, and powers of
    two already if those are asked for."""
    kind, bits = rule.weights, rule.weight_bits
    if rule.symmetric_weights:
        return weight_params(value, kind, bits)
    kept = DEFAULTS._replace(precision=bits, power_of_two=rule.power_of_two)
    found = choose_weight(value, kind, bits, False, rule.power_of_two, kept)
    return QParams(found.scale, found.zero_point + (1 << (bits - 1)), bits)


def weight_params(value: np.ndarray, kind: str, bits: int = 8) -> QParams:
    """Unsigned parameters of a weight: min_max has one scale for both signs, others what `choose_weight` says."""
    if kind == "search":
        return clipping.search(value, bits)
    if kind == "min_max":
        most = float(np.abs(value).max(initial=0.0))
        return choose(-most, most, bits, symmetric=True)
    found = choose_weight(value, kind, bits, True, defaults=DEFAULTS._replace(precision=bits, symmetric=True))
    return QParams(found.scale, found.zero_point + (1 << (bits - 1)), bits)


def of_words(
    value: np.ndarray, rule: Rule, x: QParams, bias: np.ndarray, centred: bool
) -> tuple[np.ndarray, QParams]:
    """(uint16 or uint8, parameters) of weights, outputs first, that share a scale and are multiplied with more than 8
    bits. The scale is widened until no sum of products, with twice the bias, can leave int32, which Caffe2 lets
    overflow: with x - z from -below to above, w positive and negative,

        max(above sum w+ + below sum |w-|, below sum w+ + above sum |w-|) + 2 |bias| / (sx s)  <=  SUM

    bias: one for each output. centred: the zero point of x is known; else either side may have all its levels.
    """
    params = _chosen(value, rule)
    above, below = (x.qmax - x.zero_point, x.zero_point) if centred else (x.qmax, x.qmax)
    while True:
        signed = quantize(value, params).reshape(len(value), -1).astype(np.int64) - params.zero_point
        plus, minus = np.maximum(signed, 0).sum(1), np.maximum(-signed, 0).sum(1)
        sums = np.maximum(above * plus + below * minus, below * plus + above * minus)
        worst = float((sums + 2 * np.abs(np.float64(bias)) / (x.scale * params.scale)).max(initial=0.0))
        if worst <= SUM:
            break
        params = params._replace(scale=float(np.float32(params.scale * max(worst / SUM, 1.0001))))
    if rule.power_of_two:
        params = _rounded_up(params)
    return quantize(value, params), params


def _rounded_up(params: QParams) -> QParams:
    """With a scale that is a power of two."""
    fraction, exponent = math.frexp(params.scale)
    return params._replace(scale=math.ldexp(0.5 if fraction == 0.5 else 1.0, exponent))


def pair_room(most: int) -> int:
    """What the weights of one sign in a pair may add up to, where activations are 0 to `most`: 128 of 255."""
    return 32767 // most


def widened(value: np.ndarray, params: QParams, room: int) -> QParams:
    """The parameters with the scale made so large that pairs of products fit int16.

    Caffe2 adds products x0 w0 + x1 w1 of neighbours along K in saturating int16: without VNNI everywhere, in its
    depthwise 3x3 kernel on every CPU. No pair leaves int16 when positive w of a pair add up to at most `room`, and
    negative ones to at least -`room`. With 7 bits or fewer of x or w none does anyway. Weights that are not symmetric
    become so.
    """
    if params.zero_point != 1 << (params.precision - 1):
        params = weight_params(value, "min_max", params.precision)
    while (worst := _worst_pair(quantize(value, params), params.zero_point)) > room:
        params = params._replace(scale=float(np.float32(params.scale * worst / room)))
    return params


def _worst_pair(stored: np.ndarray, zero_point: int) -> int:
    """The largest sum of magnitudes of one sign in pairs along K."""
    signed = stored.reshape(len(stored), -1).astype(np.int32) - zero_point
    pairs = np.pad(signed, ((0, 0), (0, signed.shape[1] % 2))).reshape(-1, 2)
    return int(max(np.maximum(pairs, 0).sum(1).max(initial=0), -np.minimum(pairs, 0).sum(1).min(initial=0)))
