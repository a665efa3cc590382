"""Schemas of the operators that quantize the rows of a table by themselves, and back."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims


def stored_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: the last dim becomes a stored row."""
    if not ins[0].ndim:
        raise op.shape_error(ins, 0, "at least one dimension, of which the last is a row")
    *outer, columns = ins[0].dims
    if columns % (8 // op.form.stored):
        raise ShapeError(
            f"{op.input_text(ins, 0)}: rows of {columns} values do not fill whole bytes of {op.form.stored} bits each"
        )
    return [(*outer, columns * op.form.stored // 8 + op.form.tail)]


def plain_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: the inverse."""
    if not ins[0].ndim or ins[0].dims[-1] < op.form.tail:
        raise op.shape_error(ins, 0, f"rows of at least {op.form.tail} bytes")
    return [(*ins[0].dims[:-1], (ins[0].dims[-1] - op.form.tail) * 8 // op.form.stored)]


def gathered_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions")
    if ins[1].ndim != 1:
        raise op.shape_error(ins, 1, "1 dimension")
    return [(ins[1].dims[0], *plain_dims(op, ins)[0][1:])]


def matrix_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions")
    return stored_dims(op, ins)


def apart_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if not ins[0].ndim:
        raise op.shape_error(ins, 0, "at least one dimension, of which the first counts the rows")
    return [ins[0].dims, (ins[0].dims[0], 2)]


def from_apart_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if not ins[0].ndim or ins[1].dims != (ins[0].dims[0], 2):
        raise op.shape_error(ins, 1, "(rows, 2), scale and bias of each row")
    return [ins[0].dims]


OUT8 = ("output: uint8, ... x (columns + 8): values, scale and bias as floats",)
OUT8_HALF = ("output: uint8, ... x (columns + 4): values, scale and bias in half precision",)
FLOAT_OUT, HALF_OUT = ("output: float, ... x columns",), ("output: float16, ... x columns",)

declare(
    "FloatToFused8BitRowwiseQuantized",
    "HalfFloatToFused8BitRowwiseQuantized",
    inputs=1,
    shape=stored_dims,
    doc="Each row by its own range: bias = min, scale = (max - min) / 255, q = round((x - bias) * 255 / range).",
    in_doc=("input: float (HalfFloat...: float16), ... x columns",),
    out_doc=OUT8,
)
declare(
    "FloatToFused8BitRowwiseQuantizedHalfScaleBias",
    "HalfFloatToFused8BitRowwiseQuantizedHalfScaleBias",
    inputs=1,
    shape=stored_dims,
    doc="Each row by its own range, scale and bias rounded to half precision first.",
    in_doc=("input: float (HalfFloat...: float16), ... x columns",),
    out_doc=OUT8_HALF,
)
declare(
    "FloatToFused4BitRowwiseQuantized",
    "HalfToFused4BitRowwiseQuantized",
    "FloatToFused2BitRowwiseQuantized",
    "HalfToFused2BitRowwiseQuantized",
    inputs=1,
    shape=stored_dims,
    doc="""Each row by its own range, two values of 4 bits or four of 2 bits a byte, the first in the low bits; columns
must fill whole bytes. Engine GREEDY searches a range with a smaller error first.""",
    in_doc=("input: float (Half...: float16), ... x columns",),
    out_doc=("output: uint8, ... x (columns * bits / 8 + 4): values, scale and bias in half precision",),
)
declare(
    "FloatToFused4BitFakeRowwiseQuantized",
    "HalfToFused4BitFakeRowwiseQuantized",
    "FloatToFused2BitFakeRowwiseQuantized",
    "HalfToFused2BitFakeRowwiseQuantized",
    inputs=1,
    shape=matrix_dims,
    doc="The values of the 4- or 2-bit operator in the 8-bit format. Engine GREEDY searches the range.",
    in_doc=("input: float (Half...: float16), rows x columns",),
    out_doc=("output: uint8, rows x (columns + 8): values, scale and bias as floats",),
)
declare(
    "Fused8BitRowwiseQuantizedToFloat",
    "Fused8BitRowwiseQuantizedHalfScaleBiasToFloat",
    "Fused8BitRowwiseQuantizedHalfScaleBiasToHalfFloat",
    "Fused4BitRowwiseQuantizedToFloat",
    "Fused2BitRowwiseQuantizedToFloat",
    inputs=1,
    shape=plain_dims,
    doc="Y = q * scale + bias, rounded once. ...HalfScaleBiasToHalfFloat gives floats too, as in Caffe2.",
    in_doc=("input: uint8, fused rows of the format that the name says",),
    out_doc=FLOAT_OUT,
)
declare(
    "Fused8BitRowwiseQuantizedToHalfFloat",
    "Fused4BitRowwiseQuantizedToHalf",
    "Fused2BitRowwiseQuantizedToHalf",
    inputs=1,
    shape=plain_dims,
    doc="Y = q * scale + bias as a float, rounded to half precision.",
    in_doc=("input: uint8, fused rows of the format that the name says",),
    out_doc=HALF_OUT,
)
declare(
    "GatherFused8BitRowwise",
    inputs=2,
    shape=gathered_dims,
    doc="The rows that the indices name, as floats.",
    in_doc=("DATA: uint8, fused 8-bit rows", "INDICES: int32 or int64, 1-D"),
    out_doc=("OUTPUT: float, indices x columns",),
)
declare(
    "FloatToRowwiseQuantized8Bits",
    inputs=1,
    outputs=2,
    shape=apart_dims,
    doc="Each row (of dim 0) by its own range, scale and bias in a tensor of their own.",
    in_doc=("input: float, rows x ...",),
    out_doc=("quantized_input: uint8", "scale_bias_input: float, rows x 2"),
)
declare(
    "Rowwise8BitQuantizedToFloat",
    inputs=2,
    shape=from_apart_dims,
    doc="Y = q * scale + bias, each rounded.",
    in_doc=("quantized_input: uint8, rows x ...", "scale_bias_input: float, rows x 2"),
    out_doc=("output: float",),
)


def random_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "2 dimensions")
    if op.args.bitwidth not in (1, 2, 4, 8):
        raise ArgumentError(f"argument bitwidth is {op.args.bitwidth}; it must be 1, 2, 4 or 8")
    each = 8 // op.args.bitwidth
    return [(ins[0].dims[0], 10 + -(-ins[0].dims[1] // each))]


declare(
    "FloatToFusedRandRowwiseQuantized",
    inputs=1,
    args=[
        Arg("bitwidth", "int", 8, "bits of a value: 1, 2, 4 or 8"),
        Arg("random", "bool", True, "round up or down at random, in proportion to the distance; else to the nearest"),
    ],
    shape=random_dims,
    doc="""Each row by its own range, in equal runs of values: byte i holds value i of every run, the first run in the
low bits. A row: bits, unused values of the last run, min and max as floats, values.""",
    in_doc=("input: float, rows x columns",),
    out_doc=("output: uint8, rows x (10 + columns * bitwidth / 8, rounded up)",),
)
declare(
    "FusedRandRowwiseQuantizedToFloat",
    inputs=1,
    doc="Back to floats; bits and length are read from the first row.",
    in_doc=("quantized_input: uint8, from FloatToFusedRandRowwiseQuantized",),
    out_doc=("float_input: float, rows x columns",),
)
