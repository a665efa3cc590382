"""Bias correction: the mean error that quantization makes in a layer's outputs goes off its bias.

Rounded weights W_q and inputs x_q move the mean of an output channel: E[W_q x_q] is not E[W x]. Means do not even out
over the layers as noise does, least where a channel has few weights, as in depthwise layers. Both ways are those of
Nagel, van Baalen, Blankevoort, Welling, "Data-Free Quantization Through Weight Equalization and Bias Correction",
ICCV 2019, sections 4.2 and D:

    analytic     b' = b - E[(W_q - W) x]        x as in the float net; one run of it corrects all layers
    empirical    b' = E[W x + b] - E[W_q x_q]   layer by layer: x_q is what the int8 net makes of the layers before,
                                                corrected already; so errors of ranges and of rounding count too

E is over calibration data and, of images, over places. W_q x_q is computed in float by the layer's own operator from
the int8 input, since the int8 output is rounded, and cut off where an activation is fused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from serverquant.predictor import Predictor
from serverquant.proto import NetDef, OperatorDef
from serverquant.proto.args import Arguments, make_argument
from serverquant.qparams import QParams, dequantize, quantize_bias
from serverquant.quantization.corrections.means import ChannelMeans
from serverquant.quantization.data import batches
from serverquant.quantization.emit import Layer
from serverquant.quantization.emit.forms import WIDE
from serverquant.quantization.emit.weights import grouped
from serverquant.quantization.net import needed, operator
from serverquant.quantization.statistics import Statistics

KINDS = ("none", "analytic", "empirical")
INT8_ARGS = ("dequantize_output", "weight_scales", "quantize_groupwise", "weight_quantization_kind",
             "preserve_activation_sparsity", "force_scale_power_of_two", "activation_precision",
             "weight_precision")  # fmt: skip
Nets = tuple[NetDef, NetDef]


def correct(
    kind: str, float_nets: Nets, int8_nets: Nets, layers: list[Layer], statistics: Statistics, data: Any, batch: int
) -> dict[str, float]:
    """Change the biases in the int8 init net; by float blob the largest change of a channel, in units of that blob.

    kind: one of KINDS. float_nets: what statistics belong to. int8_nets: what was made of it, with its layers. data:
    calibration data, gone through once, and for `empirical` once more a layer. A layer that calibration saw write an
    infinity or NaN is left alone: it has no mean.
    """
    if kind == "none":
        return {}
    layers = [layer for layer in layers if not statistics.blobs[layer.op.output[0]].histogram.not_finite]
    fills = {op.output[0]: op for op in int8_nets[0].op}
    sides = [_Side(layer, fills, statistics) for layer in layers]
    if kind == "analytic":
        errors = _error_means(float_nets, sides, data, batch)
        return {side.blob: side.put(side.bias - error) for side, error in zip(sides, errors)}
    wanted = _float_means(float_nets, sides, data, batch)
    return {side.blob: side.put(want - _int8_mean(int8_nets, side, data, batch)) for side, want in zip(sides, wanted)}


class _Side:
    """A layer with what is needed to correct it. blob: its output in the float net."""

    def __init__(self, layer: Layer, fills: dict[str, OperatorDef], statistics: Statistics):
        self.layer = layer
        self.blob = layer.op.output[0]
        self._fill = fills[layer.made.input[2]]
        self.weight = _weight(fills, layer.made)
        args = Arguments(self._fill)
        self._scale = args.float("Y_scale", 0.0)  # 0: of a float bias
        self.bias = np.float64(args.value("values")) * (self._scale or 1.0)
        seen = statistics.blobs[self.blob].histogram
        self.most = max(-seen.lo, seen.hi, float(np.abs(self.bias).max(initial=0.0)))

    @property
    def channel(self) -> int:
        """The dimension of output channels in the float net."""
        return 1 if self.layer.nchw else -1

    def put(self, bias: np.ndarray) -> float:
        """Take another bias; how far it is from the old one."""
        change = float(np.abs(bias - self.bias).max(initial=0.0))
        kept = [arg for arg in self._fill.arg if arg.name != "values"]
        values = quantize_bias(np.float32(bias), self._scale) if self._scale else np.float32(bias)
        del self._fill.arg[:]
        self._fill.arg.extend([*kept, make_argument("values", values)])
        return change


def _weight(fills: Mapping[str, OperatorDef], made: OperatorDef) -> np.ndarray:
    """The values that the weight of an int8 layer stands for: Int8, with scales of the blob or of the outputs, or float
    and quantized by group, or floats that Quantize makes integers of without a loss."""
    fill, layer = fills[made.input[1]], Arguments(made)
    if fill.type == "Quantize":
        return _floats(Arguments(fills[fill.input[0]]))
    args = Arguments(fill)
    if layer.int("quantize_groupwise", 0):
        return grouped(_floats(args), layer.int("group"), layer.string("weight_quantization_kind", "min_max"))[0]
    stored = np.frombuffer(args.bytes("values"), np.uint8).reshape(args.value("shape"))
    params = QParams(args.float("Y_scale"), args.int("Y_zero_point"))
    scales = layer.value("weight_scales", None)
    if not scales:
        return dequantize(stored, params)
    return np.stack([dequantize(row, params._replace(scale=scale)) for row, scale in zip(stored, scales)])


def _floats(fill: Arguments) -> np.ndarray:
    return np.float32(fill.value("values")).reshape(fill.value("shape"))


def _means(nets: Nets, blobs: list[tuple[str, int]], sides: list[_Side], data: Any, batch: int) -> list[np.ndarray]:
    """Means by channel of blobs of a net, one for each side; with each blob goes its dimension of channels."""
    means = [ChannelMeans(side.most) for side in sides]
    inner = any(name not in nets[1].external_output for name, _ in blobs)
    with Predictor(*nets, keep_blobs=inner) as predict:
        for feeds in batches(data, predict.inputs, batch):
            predict(feeds)
            for (name, axis), mean in zip(blobs, means):
                mean.add(predict.fetch(name), axis)
    return [mean.mean() for mean in means]


def _float_means(nets: Nets, sides: list[_Side], data: Any, batch: int) -> list[np.ndarray]:
    """E[W x + b]."""
    return _means(nets, [(side.blob, side.channel) for side in sides], sides, data, batch)


def _error_means(nets: Nets, sides: list[_Side], data: Any, batch: int) -> list[np.ndarray]:
    """E[(W_q - W) x], from layers that are put beside those of the float net."""
    init, predict = NetDef(), NetDef()
    init.CopyFrom(nets[0])
    predict.CopyFrom(nets[1])
    blobs = []
    for i, side in enumerate(sides):
        op = side.layer.op
        error = side.layer.restored(side.weight) - side.layer.exact
        added = _without_bias(op, op.input[0], error, f"error_{i}", init)
        predict.op.append(added)
        predict.external_input.extend(added.input[1:])
        blobs.append((added.output[0], side.channel))
    return _means((init, predict), blobs, sides, data, batch)


def _int8_mean(nets: Nets, side: _Side, data: Any, batch: int) -> np.ndarray:
    """E[W_q x_q], from the part of the int8 net that makes x_q and a float layer behind it."""
    made = side.layer.made
    predict = NetDef(name=nets[1].name)
    predict.op.extend(needed(nets[1].op, {made.input[0]}))
    names = {name for op in predict.op for name in op.input}
    init = NetDef(name=nets[0].name)
    init.op.extend(needed(nets[0].op, names))
    x = made.input[0]
    if not side.layer.reads_float:
        type = "Dequantize" if made.engine == WIDE else "Int8Dequantize"
        predict.op.append(operator(type, [x], ["corrected_x"], made.engine))
        x = "corrected_x"
    layer = _without_bias(made, x, side.weight, "corrected", init)
    layer.type, layer.engine = side.layer.op.type, ""
    predict.op.append(layer)
    given = {name for op in init.op for name in op.output}
    names.add(made.input[0])
    predict.external_input.extend([name for name in nets[1].external_input if name in given or name in names])
    predict.external_input.extend(layer.input[1:])
    predict.external_output.append(layer.output[0])
    axis = -1 if side.layer.turned else side.channel
    return _means((init, predict), [(layer.output[0], axis)], [side], data, batch)[0]


def _without_bias(op: OperatorDef, x: str, weight: np.ndarray, name: str, init: NetDef) -> OperatorDef:
    """The same layer on x with another weight and bias 0; output and weights are `name` and names after it."""
    made = OperatorDef()
    made.CopyFrom(op)
    kept = [arg for arg in op.arg if not arg.name.startswith("Y_") and arg.name not in INT8_ARGS]
    del made.arg[:]
    made.arg.extend(kept)
    made.input[:] = [x, f"{name}_weight", f"{name}_bias"]
    made.output[:] = [name]
    for blob, value in zip(made.input[1:], (weight, np.zeros(len(weight), np.float32))):
        init.op.append(operator("GivenTensorFill", [], [blob], shape=value.shape, values=value.reshape(-1)))
    return made
