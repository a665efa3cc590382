"""Conv, ConvTranspose and FC with constant weights: always int8, whatever they read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.qparams import KINDS
from serverquant.quantization.emit.forms import WIDE, Layer, Quantized, Stays, emits, named
from serverquant.quantization.emit.weights import Weight, grouped, least_scales
from serverquant.quantization.emit.writer import WINDOW, Writer, copied
from serverquant.quantization.net import PADS, arguments
from serverquant.quantization.rules import BYTE

TRANSPOSED_ARGS = (*WINDOW, *PADS, "adj", "adjs", "adj_h", "adj_w")
CONV_ARGS = (*WINDOW, *PADS, "dilation", "dilations", "dilation_h", "dilation_w", "group")


@emits("Conv", writes="Int8Conv Int8Quantize", wide="Conv")
def conv(w: Writer, op: OperatorDef) -> None:
    """Conv, as Int8Conv with its weights M, kernel, C (or M, C, kernel where its blobs stay NCHW)."""
    value, args = w.constant(op), copied(arguments(op), CONV_ARGS)
    turned = value.transpose(0, 2, 3, 1) if w.order == "NCHW" and value.ndim == 4 else value
    nhwc, group = w.order == "NHWC" or value.ndim == 4, arguments(op).int("group", 1)
    if w.wide(op):
        wide = _wide_layer(w, op, "Conv", _input(w, op, wide=True), turned, **args)
        _remember(w, Layer(op, wide, value, nchw=w.order == "NCHW", turned=turned is not value))
        return
    deep = nhwc and turned.shape[-1] == 1  # these defects are those of Caffe2's kernels for NHWC
    if deep and group % 8 == 0 and len(value) != group:
        raise Stays("Caffe2 is wrong about depthwise convolutions of several outputs a channel")
    if _dilated(args) and turned.shape[1:3] == (3, 3) and len(value) // group == turned.shape[-1] in (4, 8, 16):
        raise Stays("Caffe2 forgets the dilation of such convolutions")
    x = _input(w, op)
    if (made := _grouped(w, op, x, turned, group, deep, args)) is not None:
        _remember(w, Layer(op, made, value, nchw=w.order == "NCHW", turned=turned is not value))
        return
    blocks = _blocks(w, op, len(value), group)
    saturates = deep and group > 1 and blocks == 1  # what has scales of its own never runs in Caffe2
    weight = w.weight(op, op.input[1], turned, x.params.scale, blocks, saturates, x.params.qmax)
    bias = _bias(w, op, x, weight, len(value))
    made = w.write(op, "Int8Conv", [x.name, weight.blob, bias], **weight.arguments, **args)
    _remember(w, Layer(op, made, value, nchw=w.order == "NCHW", turned=turned is not value))


@emits("ConvTranspose", writes="Int8ConvTranspose Int8Quantize")
def conv_transpose(w: Writer, op: OperatorDef) -> None:
    """ConvTranspose of images in one group, as the mobile set's, with its weights inputs, kernel, outputs."""
    value, args = w.constant(op), copied(arguments(op), (*TRANSPOSED_ARGS, "group"))
    if value.ndim != 4 or args.pop("group", 1) != 1:
        raise Stays("it has groups, or other than two dimensions")
    turned = value.transpose(0, 2, 3, 1) if w.order == "NCHW" else value
    w.params(op.input[0])
    after = w.output(op)[1]
    before = w.int8[op.input[0]].params if op.input[0] in w.int8 else w.params(op.input[0])
    weight = w.weight(op, op.input[1], turned, before.scale, most=before.qmax)
    if _product(before.scale, weight.scale) >= after.scale:
        raise Stays("its output is too small for the multiplier, which must be below 1")
    x = w.as_int8(op.input[0])
    bias = w.bias(op, turned.shape[-1], _product(x.params.scale, weight.scale))
    w.write(op, "Int8ConvTranspose", [x.name, weight.blob, bias], **args)


def _dilated(args: dict[str, Any]) -> bool:
    given = [args.get(name, 1) for name in ("dilation", "dilation_h", "dilation_w")]
    return any(d != 1 for d in (*given, *args.get("dilations", ())))


@emits("FC", writes="Int8FC Int8Quantize", wide="FC")
def fc(w: Writer, op: OperatorDef) -> None:
    """FC, as Int8FC; the columns of its weight follow the layout of what it reads. Where its output is only asked for
    as float, it gives that, not rounded once more; its bias is float then, since Caffe2 loses an int8 one. If it is to
    be dynamic, it reads floats, too."""
    value, args = w.constant(op), arguments(op)
    copied(args, ("axis", "axis_w"))
    axis = args.int("axis", 1) % max(len(w.shape(op.input[0])) + 1, 2)
    if args.int("axis_w", 1) != 1 or (axis != 1 and w.is_image(op.input[0])):
        raise Stays("of its axes")
    axes: dict[str, Any] = {"axis": axis} if axis != 1 else {}
    wide = w.wide(op)
    if (rule := w.rule(op)).dynamic:
        given = {"preserve_activation_sparsity": rule.symmetric, "force_scale_power_of_two": rule.power_of_two}
        axes |= {name: 1 for name, value in given.items() if value}
        most = (1 << rule.activation_bits) - 1
        axes |= {"activation_precision": rule.activation_bits} if rule.activation_bits != BYTE else {}
        matrix = value.reshape(len(value), -1)
        if wide:
            weight = w.wide_weight(op, op.input[1], matrix, None, has_bias=False)
        else:
            weight = w.weight(op, op.input[1], matrix, math.inf, _blocks(w, op, len(value)), most=most)
        _float_fc(w, op, value, w.as_float(op.input[0]), weight, axes)
        return
    x = _input(w, op, wide)
    if axis != 1 and x.unflat:
        raise Stays("it reads a flattened image")
    matrix = value.reshape(len(value), -1)
    shape = x.unflat or (w.shape(op.input[0]) if w.is_image(op.input[0]) else None)
    if shape:
        c, height, width = shape
        matrix = matrix.reshape(-1, c, height, width).transpose(0, 2, 3, 1).reshape(len(matrix), -1)
    name = f"{op.input[1]}_nhwc" if shape and shape[1:] != (1, 1) else op.input[1]
    gives_float = w.is_float(op.output[0])
    if wide and not gives_float:
        _remember(w, Layer(op, _wide_layer(w, op, "FC", x, matrix, name, **axes), value, shape))
        return
    if wide:
        weight = w.wide_weight(op, name, matrix, x.params, has_bias=False)
    else:
        sx = math.inf if gives_float else x.params.scale
        weight = w.weight(op, name, matrix, sx, _blocks(w, op, len(value)), most=x.params.qmax)
    if gives_float:
        _float_fc(w, op, value, x.name, weight, axes, shape)
        return
    bias = _bias(w, op, x, weight, len(value))
    made = w.write(op, "Int8FC", [x.name, weight.blob, bias], **weight.arguments, **axes)
    _remember(w, Layer(op, made, value, shape))


def _float_fc(
    w: Writer,
    op: OperatorDef,
    value: np.ndarray,
    x: str,
    weight: Weight,
    more: dict[str, Any],
    shape: tuple[int, ...] | None = None,
) -> None:
    """An Int8FC that gives floats, or an FC of engine WIDE. x: int8 or float. more: arguments."""
    bias = w.float_bias(op, len(value))
    args = {"dequantize_output": 1, **weight.arguments, **more}
    type, engine = ("FC", WIDE) if weight.wide else ("Int8FC", None)
    made = w.add(type, [x, weight.blob, bias], list(op.output), engine, **args)
    w.floats.add(op.output[0])
    w.out.quantized[op.output[0]] = named(made.type, made.engine)
    _remember(w, Layer(op, made, value, shape))


def _wide_layer(
    w: Writer, op: OperatorDef, type: str, x: Quantized, value: np.ndarray, name: str | None = None, **args: Any
) -> OperatorDef:
    """A layer of engine WIDE. value: its weight, in the layout of the int8 form; name: for it."""
    weight = w.wide_weight(op, name or op.input[1], value, x.params, has_bias=True)
    bias = w.bias(op, len(value), _product(x.params.scale, weight.scale))
    order = type == "Conv"
    return w.write(op, type, [x.name, weight.blob, bias], order, wide=True, **weight.arguments, **args)


def _blocks(w: Writer, op: OperatorDef, outputs: int, group: int = 1) -> int:
    """How many runs of outputs get scales of their own, by an argument that Caffe2 does not know."""
    if w.target == "caffe2":
        return 1
    return {"tensor": 1, "channel": outputs, "group": group}[w.rule(op).granularity]


def _grouped(
    w: Writer, op: OperatorDef, x: Quantized, turned: np.ndarray, group: int, deep: bool, args: dict[str, Any]
) -> OperatorDef | None:
    """An Int8Conv that quantizes its float weight by group, as Caffe2 can: for its target, if that is asked for, with 8
    bits.

    None where it is not, where Caffe2's depthwise kernel would saturate, or where the scale of a group leaves no room
    for its bias.
    """
    rule = w.rule(op)
    if rule.weight_bits != 8 or rule.power_of_two:
        return None
    if w.target != "caffe2" or rule.granularity != "group" or group == 1 or deep or not np.isfinite(turned).all():
        return None
    kind = rule.weights if rule.weights in KINDS else "min_max"
    bias = w.float_bias(op, len(turned))
    given = w.net.weight(bias)
    assert given is not None
    scales = grouped(turned, group, kind)[1]
    if (scales < least_scales(given, x.params.scale, group)).any():
        return None
    w.out.weights[op.output[0]] = {"bits": BYTE, "scale": float(scales.max())}
    weight = w.net.add_weight(f"{op.input[1]}_grouped", turned)
    if kind != "min_max":
        args["weight_quantization_kind"] = kind
    return w.write(op, "Int8Conv", [x.name, weight, bias], quantize_groupwise=1, **args)


def _bias(w: Writer, op: OperatorDef, x: Quantized, weight: Weight, n: int) -> str:
    """In the one scale of the products; float where there are several."""
    return w.float_bias(op, n) if weight.scales else w.bias(op, n, _product(x.params.scale, weight.scale))


def _remember(w: Writer, layer: Layer) -> None:
    """For what corrects layers: one that reads a constant needs nothing."""
    if w.net.weight(layer.op.input[0]) is None:
        w.out.layers.append(layer)


def _input(w: Writer, op: OperatorDef, wide: bool = False) -> Quantized:
    """The int8 input of a layer; input and output are checked first, so that nothing is written for one that stays."""
    w.params(op.input[0])
    w.check_output(op)
    return w.as_int8(op.input[0], wide)


def _product(a: float, b: float) -> float:
    return float(np.float32(a) * np.float32(b))
