"""Schemas of the fills."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ShapeError
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


def shape_from(values: Any, extra: Any) -> tuple[int, ...]:
    """The shape that the first input's values say."""
    if values.ndim != 1 or not values.size:
        raise ShapeError("the values of the first input must be a shape: 1-D, of at least one dim")
    return tuple(int(d) for d in values) + tuple(extra)


def filled_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]] | None:
    """Shape rule: `shape`, or the input's dims (or values) and `extra_shape` behind them."""
    if not ins:
        return [tuple(op.args.shape)]
    if not op.args.input_as_shape:
        return [ins[0].dims + tuple(op.args.extra_shape)]
    if ins[0].ndim != 1 or ins[0].dtype not in (dtypes.INT32, dtypes.INT64) or ins[0].kind != TENSOR:
        raise op.shape_error(ins, 0, "a 1-D tensor of int32 or int64 when input_as_shape=1")
    if ins[0].value is None:
        return None
    return [shape_from(ins[0].value, op.args.extra_shape)]


def uniform_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]] | None:
    """With ends that are inputs, their values may leave nothing of the first dim."""
    return None if len(ins) == 3 else filled_shape(op, ins)


def constant_values(op: Any, ins: list[Spec]) -> Any:
    """Small integers are shapes, as exporters write them."""
    dims = filled_shape(op, ins[:1])
    if op.dtype not in (dtypes.INT32, dtypes.INT64) or len(ins) == 2 or dims is None or math.prod(dims[0]) > 64:
        return None
    return np.full(dims[0], op.value, dtypes.NUMPY[op.dtype])


def given_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    return [tuple(op.args.shape)]


SHAPE_DOC = "input: gives the output's shape, by its dims or (input_as_shape) by its values"


def _fill(*types: str, args: tuple[Arg, ...], doc: str, effects: bool = False, more: Any = (), **rules: Any) -> None:
    """The schema of fills; `more`: what further inputs are."""
    declare(
        *types,
        **{
            "inputs": (0, 1 + len(more)),
            "inplace": [(0, 0)],
            "args": (*SHAPE, *args),
            "shape": filled_shape,
            "effects": effects,
            "doc": doc,
            "in_doc": (SHAPE_DOC, *more),
            "out_doc": ("output: the tensor",),
            **rules,
        },
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
    more=("value: one element of the output's data type, instead of the argument",),
    values=constant_values,
    doc="All elements are `value`. Without dtype: float for a float value, int64 for an integer.",
)
_fill(
    "DiagonalFill",
    args=(Arg("value", "payload", 0.0, "the diagonal; an integer where dtype is one"), DTYPE),
    doc="0 but for `value` on the diagonal, of 2 dimensions or of more that are equal. In Caffe2, and here, that of a "
    "matrix with more rows than columns goes on from the first column again.",
)
_fill("RangeFill", args=(), doc="0, 1, 2, ... as floats.")
declare(
    "Float16ConstantFill",
    inputs=0,
    args=(SHAPE[0], Arg("value", "float", 0.0, "every element")),
    shape=given_shape,
    doc="All elements are `value`, in half precision.",
    out_doc=("output: float16 tensor",),
)
LIKE_CAFFE2 = "Caffe2's distribution, not its stream of numbers."
ENDS = ("min: one element of the output's data type, instead of the argument", "max: the same")
_fill(
    "UniformFill",
    args=(Arg("min", "float", 0.0, "lower end"), Arg("max", "float", 1.0, "upper end")),
    effects=True,
    more=ENDS,
    shape=uniform_shape,
    doc=f"Uniform in [min, max]. {LIKE_CAFFE2}",
)
_fill(
    "UniformIntFill",
    args=(Arg("min", "int", 0, "least number"), Arg("max", "int", 1, "largest number")),
    effects=True,
    more=ENDS,
    shape=uniform_shape,
    doc=f"Uniform among the int32 numbers from min to max. {LIKE_CAFFE2}",
)
_fill(
    "UniqueUniformFill",
    args=(Arg("min", "payload", None, "least number, needed"), Arg("max", "payload", None, "largest, needed"), DTYPE),
    effects=True,
    more=("avoid: numbers that are not taken, all different",),
    doc=f"Uniform among the numbers from min to max, all different, of int32 or int64. {LIKE_CAFFE2}",
)
declare(
    "Float16UniformFill",
    inputs=0,
    args=(SHAPE[0], Arg("min", "float", 0.0, "lower end"), Arg("max", "float", 1.0, "upper end")),
    shape=given_shape,
    effects=True,
    doc=f"Uniform in [min, max], rounded to half precision. {LIKE_CAFFE2}",
    out_doc=("output: float16 tensor",),
)
_fill(
    "GaussianFill",
    args=(Arg("mean", "float", 0.0, "mean"), Arg("std", "float", 1.0, "standard deviation")),
    effects=True,
    doc=f"Normal with that mean and standard deviation. {LIKE_CAFFE2}",
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
    shape=given_shape,
    doc="An Int8 tensor of uint8 (values: one byte string) or, Int8GivenIntTensorFill, of int32 (values: integers).",
    out_doc=("Y: Int8 tensor with scale Y_scale and zero point Y_zero_point",),
)


# ---- numbers in order, samples -------------------------------------------------------------------------------------


def range_length(start: Any, stop: Any, step: Any) -> int:
    """How many numbers Caffe2 makes: for integers below 0 steps, one less than numpy where the division has a rest."""
    if step == 0:
        raise ShapeError("Step size cannot be 0")  # programs look for these words
    if isinstance(start, np.floating):
        with np.errstate(over="ignore", invalid="ignore"):
            length = (stop - start) / step
        if not np.isfinite(length):
            raise ShapeError(f"a range from {start} to {stop} by {step} has no end")
        return max(math.ceil(length), 0)
    diff, by = int(stop) - int(start), int(step)
    length = abs(diff) // abs(by) * (1 if diff * by >= 0 else -1)
    return max(length + (length * by < diff), 0)


def range_ends(ins: list[Spec]) -> tuple[Any, Any, Any] | None:
    """(start, stop, step); None when they are values that are not known yet."""
    numbers = [spec.peek() for spec in ins]
    if any(n is None for n in numbers):
        return None
    scalars = [n.ravel()[0] for n in numbers]
    one, zero = scalars[0].dtype.type(1), scalars[0].dtype.type(0)
    if len(scalars) == 1:
        return zero, scalars[0], one
    return scalars[0], scalars[1], scalars[2] if len(scalars) == 3 else one


def range_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]] | None:
    for i, spec in enumerate(ins):
        if spec.size != 1:
            raise op.shape_error(ins, i, "one element")
    ends = range_ends(ins)
    return None if ends is None else [(range_length(*ends),)]


def position_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions: positions and examples")
    return [(*ins[0].dims, op.args.embedding_size)]


def sample_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions: batch and weights")
    if len(ins) == 2 and ins[1].dims != ins[0].dims:
        raise op.shape_error(ins, 1, f"the shape of the weights, {ins[0].dims}")
    return [(ins[0].dims[0], 1) if ins[0].size else (0,)] * len(op.outputs)


declare(
    "Range",
    inputs=(1, 3),
    shape=range_shape,
    doc="start, start + step, ... up to but without stop; of integers that count down, Caffe2 leaves out the last one "
    "where stop - start is no multiple of the step, and so does this.",
    in_doc=("start: one element of int32, int64, float or double; the stop if it is the only input", "stop", "step"),
    out_doc=("output: 1-D tensor of the inputs' type",),
)
declare(
    "SinusoidPositionEncoding",
    inputs=1,
    args=[
        Arg("embedding_size", "int", 100, "size of an embedding"),
        Arg("alpha", "float", 10000.0, "base of the wave lengths"),
        Arg("amplitude", "float", 1.0, "factor of every value"),
    ],
    shape=position_shape,
    doc="Element k of an embedding: amplitude * sin(position / alpha^(k / embedding_size)), cos for odd k. All "
    "examples have the first one's positions.",
    in_doc=("positions: int32 or int64, (positions, examples)",),
    out_doc=("output: float, (positions, examples, embedding_size)",),
)
declare(
    "WeightedSample",
    inputs=(1, 2),
    outputs=(1, 2),
    shape=sample_shape,
    effects=True,
    doc=f"Draws an index from each row, as often as its weight says. {LIKE_CAFFE2}",
    in_doc=("weights: float, (batch, weights), not negative", "values: float, of the same shape"),
    out_doc=("indices: int32, (batch, 1)", "values: those at the indices"),
)
