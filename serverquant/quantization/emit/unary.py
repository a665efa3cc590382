"""Functions of one value."""

from __future__ import annotations

import numpy as np

from serverquant.proto import OperatorDef
from serverquant.qparams import QParams, choose
from serverquant.quantization.emit.forms import Quantized, Stays, emits
from serverquant.quantization.emit.writer import Writer, copied, out_arguments
from serverquant.quantization.net import arguments

# Caffe2's tables of the server set take these parameters alone, and give what stands behind.
TANH_INPUT, TANH_OUTPUT = QParams(float(np.float32(3 / 127)), 128), QParams(float(np.float32(1 / 127)), 128)
SIGMOID_INPUT = QParams(float(np.float32(6 / 127)), 128)
UNIT = QParams(1 / 256, 0)


@emits("Relu", writes="Int8Relu", wide="Relu", keeps=True)
def relu(w: Writer, op: OperatorDef) -> None:
    """Relu by itself keeps the parameters."""
    wide = w.wide(op)
    w.write_kept(op, "Relu" if wide else "Int8Relu", w.only_int8(op, wide))


@emits("LeakyRelu", writes="Int8LeakyRelu", keeps=True)
def leaky_relu(w: Writer, op: OperatorDef) -> None:
    """The mobile set's, which keeps the parameters: an alpha between 0 and 1 never leaves their range."""
    alpha = arguments(op).float("alpha", 0.01)
    x = w.only_int8(op)
    if not 0 < alpha < 1:
        raise Stays(f"its alpha is {alpha:g}; the int8 form needs one between 0 and 1")
    w.write_kept(op, "Int8LeakyRelu", x, alpha=alpha)


@emits("Clip", "ReluN", writes="Int8Concat")
def clip(w: Writer, op: OperatorDef) -> None:
    """One that fuses with nothing: requantizing to a range saturates at its ends."""
    x, args = w.only_int8(op), arguments(op)
    lo, hi = args.float("min", -np.inf), args.float("max", np.inf)
    if op.type == "ReluN":
        lo, hi = 0.0, args.float("n", 1.0)
    if not lo <= 0 <= hi:
        raise Stays("its range leaves out 0")
    seen = w.params(op.output[0])
    w.write_requantized(op, x, choose(max(seen.min, lo), min(seen.max, hi), seen.precision))


@emits("Sigmoid", writes="Int8Sigmoid")
def sigmoid(w: Writer, op: OperatorDef) -> None:
    x = w.only_int8(op)
    _inner(w, op)
    name = op.output[0]
    w.out.quantized[name] = "Int8Sigmoid"
    _sigmoid(w, x, w.new(name, UNIT).name)


@emits("Swish", writes="Int8Sigmoid Int8Mul")
def swish(w: Writer, op: OperatorDef) -> None:
    """x sigmoid(x), in two."""
    x = w.only_int8(op)
    w.check_output(op)
    share = w.net.unique(f"{x.name}_sigmoid")
    _sigmoid(w, x, share)
    w.write(op, "Int8Mul", [x.name, share])


def _sigmoid(w: Writer, x: Quantized, name: str) -> None:
    """The mobile set's: it takes any parameters, where the server set's table takes SIGMOID_INPUT alone."""
    w.add("Int8Sigmoid", [x.name], [name], engine="", **out_arguments(UNIT))


def tanh_input(w: Writer, op: OperatorDef, name: str) -> QParams | None:
    return TANH_INPUT if _is_inner(w, op) else None


@emits("Tanh", writes="Int8Tanh Int8Concat", demands=tanh_input)
def tanh(w: Writer, op: OperatorDef) -> None:
    """By the server set's table."""
    copied(arguments(op), ())
    x = w.only_int8(op)
    _inner(w, op)
    name = op.output[0]
    given = w.requantized(x, TANH_INPUT)
    made = w.new(name, TANH_OUTPUT).name
    w.out.quantized[name] = "Int8Tanh"
    w.add("Int8Tanh", [given], [made])


def _is_inner(w: Writer, op: OperatorDef) -> bool:
    return op.output[0] in w.readers


def _inner(w: Writer, op: OperatorDef) -> None:
    """Stays for a function that ends the net."""
    if not _is_inner(w, op):
        raise Stays("it ends the net: in float it is finer and costs no conversion more")
