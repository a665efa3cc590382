"""Schemas of the fills."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg

SHAPE = (
    Arg("shape", "ints", [], "shape of the output; not together with an input"),
    Arg("extra_shape", "ints", [], "dims appended to the input's"),
    Arg("input_as_shape", "bool", False, "the input's values (1-D, int32 or int64) are the shape, not its dims"),
)
QPARAMS = (
    Arg("Y_scale", "float", 1.0, "scale of the output"),
    Arg("Y_zero_point", "int", 0, "zero point of the output"),
)


def filled_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]] | None:
    """Shape rule: `shape`, or the input's dims (or values) and `extra_shape` behind them."""
    if not ins:
        return [tuple(op.args.shape)]
    if op.args.shape:
        raise ArgumentError("argument shape and an input cannot be given together")
    if not op.args.input_as_shape:
        return [ins[0].dims + tuple(op.args.extra_shape)]
    if ins[0].ndim != 1 or ins[0].dtype not in (dtypes.INT32, dtypes.INT64) or ins[0].kind != TENSOR:
        raise op.shape_error(ins, 0, "a 1-D tensor of int32 or int64 when input_as_shape=1")
    if ins[0].value is None:
        return None
    return [tuple(int(d) for d in ins[0].value) + tuple(op.args.extra_shape)]


def int8_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    return [tuple(op.args.shape)]


def _fill(*types: str, args: tuple[Arg, ...], doc: str, effects: bool = False) -> None:
    declare(
        *types,
        inputs=(0, 1),
        args=(*SHAPE, *args),
        shape=filled_shape,
        effects=effects,
        doc=doc,
        in_doc=("input: gives the output's shape, by its dims or (input_as_shape) by its values",),
        out_doc=("output: the tensor",),
    )


VALUES = Arg("values", "payload", None, "the elements, row by row")
DTYPE = Arg("dtype", "int", None, "TensorProto.DataType of the output")

_fill("GivenTensorFill", args=(VALUES, DTYPE), doc="Output = values, float unless dtype says otherwise.")
_fill(
    "GivenTensorBoolFill",
    "GivenTensorDoubleFill",
    "GivenTensorInt16Fill",
    "GivenTensorInt64Fill",
    "GivenTensorIntFill",
    "GivenTensorStringFill",
    "GivenTensorByteStringToUInt8Fill",
    args=(VALUES,),
    doc="Output = values, of the data type in the operator's name.",
)
_fill(
    "ConstantFill",
    args=(Arg("value", "payload", 0.0, "every element; an integer or a string where dtype is one"), DTYPE),
    doc="All elements are `value`. Without dtype: float for a float value, int64 for an integer.",
)
_fill(
    "UniformFill",
    args=(Arg("min", "float", 0.0, "lower end"), Arg("max", "float", 1.0, "upper end")),
    effects=True,
    doc="Uniform in [min, max]. Caffe2's distribution, not its stream of numbers.",
)
_fill(
    "GaussianFill",
    args=(Arg("mean", "float", 0.0, "mean"), Arg("std", "float", 1.0, "standard deviation")),
    effects=True,
    doc="Normal with that mean and standard deviation. Caffe2's distribution, not its stream of numbers.",
)
_fill(
    "XavierFill",
    args=(),
    effects=True,
    doc="Uniform in +-sqrt(3 / fan_in), fan_in = size / dims[0] (Glorot and Bengio 2010).",
)
_fill(
    "MSRAFill",
    args=(),
    effects=True,
    doc="Normal with standard deviation sqrt(2 / fan_out), fan_out = size / dims[1] (He et al. 2015).",
)

declare(
    "Int8GivenTensorFill",
    "Int8GivenIntTensorFill",
    inputs=0,
    args=(Arg("shape", "ints", [], "shape of the output"), VALUES, *QPARAMS),
    shape=int8_shape,
    doc="An Int8 tensor of uint8 (values: one byte string) or, Int8GivenIntTensorFill, of int32 (values: integers).",
    out_doc=("Y: Int8 tensor with scale Y_scale and zero point Y_zero_point",),
)
