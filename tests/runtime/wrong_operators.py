"""Operators that are wrong in one way each, with the error that says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serverquant import core
from serverquant._base.errors import (
    ArgumentError,
    DTypeError,
    MissingBlobError,
    NetError,
    QuantizationError,
    ServerquantError,
    ShapeError,
    UnknownOperatorError,
)
from serverquant.blobs.store import Int8
from serverquant.proto import Argument, OperatorDef


@dataclass(frozen=True)
class Wrong:
    """op: the operator. error: the class of the error. says: what its message holds. blobs: what there is to read.
    late: found only while running, so that earlier operators have run by then."""

    op: OperatorDef
    error: type[ServerquantError]
    says: tuple[str, ...]
    blobs: dict[str, Any] = field(default_factory=dict)
    late: bool = False


CASES: dict[str, Wrong] = {}


def wrong(name: str, op: OperatorDef, error: type[ServerquantError], *says: str, late: bool = False, **blobs) -> None:
    """One more case."""
    assert name not in CASES
    CASES[name] = Wrong(op, error, says, blobs, late)


def op(op_type: str, inputs: str = "", outputs: str = "Y", engine: str = "", **args) -> OperatorDef:
    return core.CreateOperator(op_type, inputs.split(), outputs.split(), engine=engine, **args)


def server(op_type: str, inputs: str, **args) -> OperatorDef:
    """Of engine DNNLOWP, with output parameters."""
    return op(op_type, inputs, engine="DNNLOWP", **{"Y_scale": 1.0, "Y_zero_point": 0, **args})


def f32(*dims: int) -> np.ndarray:
    return np.ones(dims, np.float32)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def u8(*dims: int) -> Int8:
    return Int8(np.ones(dims, np.uint8), 0.5, 3)


def bias(n: int, scale: float = 0.25, zero_point: int = 0) -> Int8:
    return Int8(np.ones(n, np.int32), scale, zero_point)


IMAGE, FILTER = f32(1, 4, 5, 5), f32(4, 4, 1, 1)
Q_IMAGE, Q_FILTER = u8(1, 5, 5, 4), u8(4, 1, 1, 4)
NAN, INF = float("nan"), float("inf")

# ---- shapes that nothing can have --------------------------------------------------------------------------------

FILLS: dict[str, dict[str, Any]] = {
    "GivenTensorFill": {"values": [1.0, 2.0]},
    "GivenTensorDoubleFill": {"values": [1.0, 2.0]},
    "GivenTensorIntFill": {"values": [1, 2]},
    "GivenTensorInt64Fill": {"values": [1, 2]},
    "GivenTensorInt16Fill": {"values": [1, 2]},
    "GivenTensorBoolFill": {"values": [1, 0]},
    "GivenTensorStringFill": {"values": ["a", "b"]},
    "GivenTensorByteStringToUInt8Fill": {"values": ["ab"]},
    "Int8GivenTensorFill": {"values": b"ab", "Y_scale": 1.0},
    "Int8GivenIntTensorFill": {"values": [1, 2], "Y_scale": 1.0},
    "ConstantFill": {"value": 2.0},
    "UniformFill": {},
    "XavierFill": {},
}
for name, values in FILLS.items():
    wrong(f"{name}: negative dim", op(name, shape=[2, -1], **values), ShapeError, '"Y"', "dimension 1", "(2, -1)",
          "negative")
    wrong(f"{name}: dims overflow", op(name, shape=[2**62, 2**62], **values), ShapeError, '"Y"', str(2**62), "memory")
    wrong(f"{name}: empty, overflow", op(name, shape=[0, 2**62, 9], **values), ShapeError, '"Y"', str(2**62), "memory")
    wrong(f"{name}: 17 dims", op(name, shape=[1] * 17, **values), ShapeError, '"Y"', "at most 16", "not 17")
    wrong(f"{name}: shape of floats", op(name, shape=[2.0], **values), ArgumentError, '"shape"', "floats", "integers")
    wrong(f"{name}: shape is text", op(name, shape="two", **values), ArgumentError, '"shape"', "a string", "integers")
    wrong(f"{name}: shape is a number", op(name, shape=2, **values), ArgumentError, '"shape"', "an integer", "integers")
    if "values" in values:
        wrong(f"{name}: too few values", op(name, shape=[3], **values), ShapeError, '"Y"', "has 2", "(3,)")
        wrong(f"{name}: no values", op(name, shape=[3]), ShapeError, '"Y"', "has 0", "(3,)")
        wrong(f"{name}: a lie of gigabytes", op(name, shape=[2**30], **values), ShapeError, '"Y"', "has 2", str(2**30))
wrong("GivenTensorFill: ints", op("GivenTensorFill", shape=[2], values=[1, 2]), ArgumentError, "ints", "floats", '"Y"')
wrong("GivenTensorIntFill: floats", op("GivenTensorIntFill", shape=[1], values=[1.0]), ArgumentError, "floats", "ints")
wrong("GivenTensorIntFill: too wide", op("GivenTensorIntFill", shape=[1], values=[2**40]), ArgumentError,
      str(2**40), "int32", '"Y"', late=True)
wrong("ConstantFill: dtype", op("ConstantFill", shape=[1], dtype=99), ArgumentError, "dtype is 99", '"Y"')
wrong("ConstantFill: text", op("ConstantFill", shape=[1], value="one"), ArgumentError, '"value"', "number", '"Y"')
wrong("UniformFill: min above max", op("UniformFill", shape=[1], min=2.0, max=1.0), ArgumentError, "2.0", "1.0", '"Y"')

# ---- scales and zero points --------------------------------------------------------------------------------------

for scale in (0.0, -1.0, NAN, INF):
    wrong(f"Int8GivenTensorFill: scale {scale}", op("Int8GivenTensorFill", shape=[1], values=b"a", Y_scale=scale),
          QuantizationError, '"Y"', "positive finite", str(scale))
    for name, build, blobs in (
        ("Int8Quantize", op, {"X": f32(2)}),
        ("Int8Quantize", server, {"X": f32(2)}),
        ("Int8Relu", op, {"X": u8(2)}),
        ("Int8Add", op, {"X": u8(2), "Z": u8(2)}),
        ("Int8FC", server, {"X": u8(2, 3), "W": u8(4, 3), "b": bias(4)}),
        ("Int8FC", op, {"X": u8(2, 3), "W": u8(4, 3), "b": bias(4)}),
    ):
        made = build(name, " ".join(blobs), Y_scale=scale)
        wrong(f"{name} {made.engine}: Y_scale {scale}", made, QuantizationError, "scale", "positive finite", str(scale),
              **blobs)
for zero_point in (-1, 256):
    wrong(f"Int8GivenTensorFill: zero point {zero_point}",
          op("Int8GivenTensorFill", shape=[1], values=b"a", Y_scale=1.0, Y_zero_point=zero_point),
          QuantizationError, '"Y"', "0 to 255", str(zero_point))
    wrong(f"Int8Quantize: Y_zero_point {zero_point}", op("Int8Quantize", "X", Y_scale=1.0, Y_zero_point=zero_point),
          QuantizationError, "Y_zero_point", "0 to 255", str(zero_point), X=f32(2))
    wrong(f"Int8FC DNNLOWP: Y_zero_point {zero_point}", server("Int8FC", "X W b", Y_zero_point=zero_point),
          QuantizationError, "Y_zero_point", "0 to 255", str(zero_point), X=u8(2, 3), W=u8(4, 3), b=bias(4))
wrong("Int8Quantize: zero point past 32 bits", op("Int8Quantize", "X", Y_scale=1.0, Y_zero_point=2**40), ArgumentError,
      '"Y_zero_point"', str(2**40), "32 bits", X=f32(2))
wrong("Int8FC: scale of the bias", server("Int8FC", "X W b"), ServerquantError, '"b"', "0.1", "0.25", late=True,
      X=u8(2, 3), W=u8(4, 3), b=bias(4, 0.1))
wrong("Int8FC: zero point of the bias", server("Int8FC", "X W b"), ServerquantError, '"b"', "zero point 1", "0",
      late=True,
      X=u8(2, 3), W=u8(4, 3), b=bias(4, 0.25, 1))

# ---- windows -----------------------------------------------------------------------------------------------------

WINDOWED = {
    "Conv": (op, {"X": IMAGE, "W": FILTER, "b": f32(4)}),
    "Int8Conv": (server, {"X": Q_IMAGE, "W": Q_FILTER, "b": bias(4)}),
    "MaxPool": (op, {"X": IMAGE}),
    "AveragePool": (op, {"X": IMAGE}),
    "Int8MaxPool": (server, {"X": Q_IMAGE}),
    "Int8AveragePool": (op, {"X": Q_IMAGE}),
}
for name, (build, blobs) in WINDOWED.items():
    order = "NHWC" if name.startswith("Int8") else "NCHW"

    def windowed(what: str, args: dict[str, Any], error: type[ServerquantError], *says: str) -> None:
        made = build(name, " ".join(blobs), **{"order": order, **args})  # noqa: B023
        wrong(f"{name}: {what}", made, error, *says, **blobs)  # noqa: B023

    for least, of in ((1, "kernel"), (1, "stride"), (0, "pad"), (1, "dilation")):
        windowed(f"{of} too small", {"kernel": 1, of: least - 1}, ArgumentError, of, f"{least} or more", str(least - 1))
    windowed("no kernel", {}, ArgumentError, "size is missing", "kernel")
    windowed("kernel is a float", {"kernel": 1.0}, ArgumentError, '"kernel"', "a float", "an integer")
    windowed("kernel is text", {"kernel": "1"}, ArgumentError, '"kernel"', "a string", "an integer")
    windowed("kernels are floats", {"kernels": [1.0, 1.0]}, ArgumentError, '"kernels"', "floats", "integers")
    windowed("order", {"kernel": 1, "order": "NWCH"}, ArgumentError, "NWCH", "NCHW or NHWC")
    windowed("kernel of 5 dims", {"kernels": [1] * 5}, ArgumentError, "5 dimensions", "1 to 3")
    windowed("pads of another length", {"kernel": 1, "pads": [1]}, ArgumentError, "pads", "[1]", "4 entries")
for name in ("MaxPool", "AveragePool", "Int8MaxPool", "Int8AveragePool"):
    build, blobs = WINDOWED[name]
    order = "NHWC" if name.startswith("Int8") else "NCHW"
    wrong(f"{name}: larger than the image", build(name, "X", kernel=9, order=order), ShapeError, '"X"', "of 9",
          "into 5",
          **blobs)
wrong("Conv: larger than the image", op("Conv", "X W", kernel=9, pad=1), ShapeError, '"X"', "of 9", "into 5", "pads 1",
      X=IMAGE, W=f32(4, 4, 9, 9))
wrong("Conv: pads of gigabytes", op("Conv", "X W", kernel=1, pad=2**29), ShapeError, '"Y"', str(2**30 + 5), "memory",
      X=IMAGE, W=FILTER)
for group, says in ((0, "1 or more"), (-1, "1 or more")):
    wrong(f"Conv: group {group}", op("Conv", "X W b", kernel=1, group=group), ArgumentError, "group", says, str(group),
          X=IMAGE, W=FILTER, b=f32(4))
wrong("Conv: group does not divide", op("Conv", "X W b", kernel=1, group=3), ShapeError, '"X"', "4 channels",
      "3 groups",
      X=IMAGE, W=FILTER, b=f32(4))
wrong("Int8Conv: group does not divide", server("Int8Conv", "X W b", kernel=1, group=3, order="NHWC"), ShapeError,
      '"X"', "4 channels", "3 groups", X=Q_IMAGE, W=Q_FILTER, b=bias(4))

# ---- weights -----------------------------------------------------------------------------------------------------

for name, build, blobs, weight in (
    ("Conv", op, {"X": IMAGE, "W": f32(4, 4, 1), "b": f32(4)}, "float 4x4x1"),
    ("Int8Conv", server, {"X": Q_IMAGE, "W": u8(4, 4), "b": bias(4)}, "Int8 uint8 4x4"),
):
    order = "NHWC" if name.startswith("Int8") else "NCHW"
    wrong(f"{name}: weights of another rank", build(name, "X W b", kernel=1, order=order), ShapeError, '"W"', weight,
          "(outputs, ", **blobs)
    wrong(f"{name}: length of the bias", build(name, "X W b", kernel=1, order=order), ShapeError, '"b"', "(4,)",
          **{"X": blobs["X"], "W": FILTER if build is op else Q_FILTER, "b": f32(5) if build is op else bias(5)})
    wrong(f"{name}: type of the weights", build(name, "X W b", kernel=1, order=order), DTypeError, '"W"', "int64",
          **{**blobs, "W": np.ones((4, 4, 1, 1), np.int64)})
wrong("FC: inner sizes", op("FC", "X W b"), ShapeError, '"X"', "3 elements", '"W"', "rows of 4",
      X=f32(2, 3), W=f32(4, 4), b=f32(4))
wrong("FC: length of the bias", op("FC", "X W b"), ShapeError, '"b" (float 5)', "(4,)", X=f32(2, 3), W=f32(4, 3),
      b=f32(5))
wrong("FC: scalar weights", op("FC", "X W b"), ArgumentError, "axis_w is 1", '"W" (float scalar)',
      X=f32(2, 3), W=f32(), b=f32(4))
wrong("FC: type of the weights", op("FC", "X W b"), DTypeError, '"W" (int64 4x3)', "float",
      X=f32(2, 3), W=np.ones((4, 3), np.int64), b=f32(4))
wrong("FC: type of the input", op("FC", "X W b"), DTypeError, '"X" (double 2x3)', "float",
      X=np.ones((2, 3)), W=f32(4, 3), b=f32(4))
wrong("Int8FC: float where Int8 is wanted", op("Int8FC", "X W b"), DTypeError, '"X" (float 2x3)', "Int8",
      X=f32(2, 3), W=u8(4, 3), b=bias(4))
wrong("Int8FC: bias of uint8", server("Int8FC", "X W b"), DTypeError, '"b" (Int8 uint8 4)', "int32",
      X=u8(2, 3), W=u8(4, 3), b=u8(4))
wrong("SpatialBN: length of the variance", op("SpatialBN", "X s s s v", is_test=1), ShapeError, '"v" (float 2)', "4",
      X=IMAGE, s=f32(4), v=f32(2))
wrong("Conv: weights that nobody made", op("Conv", "X W", kernel=1), MissingBlobError, '"W"', "init net", X=IMAGE)
wrong("FC: weights that nobody made", op("FC", "X W b"), MissingBlobError, '"W"', "init net", X=f32(2, 3), b=f32(4))
wrong("Int8Conv: weights that nobody made", server("Int8Conv", "X W b", kernel=1, order="NHWC"), MissingBlobError,
      '"W"', "init net", X=Q_IMAGE, b=bias(4))

# ---- types, ranks, axes, indices ---------------------------------------------------------------------------------

wrong("Relu: strings", op("Relu", "X"), DTypeError, '"X" (string 1)', "float", X=np.array([b"a"], object))
wrong("Relu: an Int8 tensor", op("Relu", "X"), DTypeError, '"X" (Int8 uint8 2)', "float", X=u8(2))
wrong("Int8Relu: a float tensor", op("Int8Relu", "X"), DTypeError, '"X" (float 2)', "Int8", X=f32(2))
wrong("Quantize: plain int8", op("Quantize", "X", engine="DNNLOWP"), DTypeError, '"X" (int8 2)', "Int8 tensor of uint8",
      X=np.ones(2, np.int8))
wrong("PadImage: doubles", op("PadImage", "X", pad=1), DTypeError, '"X" (double 1x1x2x2)', "float",
      X=np.ones((1, 1, 2, 2)))
wrong("Add: shapes", op("Add", "X Z"), ShapeError, '"Z" (float 4)', "(2, 3)", X=f32(2, 3), Z=f32(4))
wrong("Add: types", op("Add", "X Z"), DTypeError, '"Z" (int64 3)', "float", X=f32(3), Z=i64(1, 2, 3))
wrong("Add: grows in place", op("Add", "X Z", "X"), ShapeError, '"X" (float 3)', "float 2x3", "same blob",
      X=f32(3), Z=f32(2, 3))
wrong("Sum: shapes", op("Sum", "X Z"), ShapeError, '"Z" (float 3x2)', "(2, 3)", X=f32(2, 3), Z=f32(3, 2))
wrong("Concat: shapes", op("Concat", "X Z", "Y sizes", axis=1), ShapeError, '"Z" (float 3x3)', "(2, 3)",
      X=f32(2, 3), Z=f32(3, 3))
wrong("Concat: ranks", op("Concat", "X Z", "Y sizes", axis=1), ShapeError, '"Z" (float 3)', "(2, 3)", X=f32(2, 3),
      Z=f32(3))
wrong("Concat: types", op("Concat", "X Z", "Y sizes", axis=0), DTypeError, '"Z" (int64 1)', "float", X=f32(2), Z=i64(1))
wrong("Concat: axis", op("Concat", "X Z", "Y sizes", axis=5), ArgumentError, "axis is 5", '"X" (float 2x3)',
      X=f32(2, 3), Z=f32(2, 3))
wrong("Concat: one blob twice", op("Concat", "X X", "Y Y"), NetError, 'one blob, "Y"', X=f32(2, 3))
wrong("Gather: float indices", op("Gather", "X I"), DTypeError, '"I" (float 2)', "int32", "int64", X=f32(3), I=f32(2))
wrong("Gather: index too large", op("Gather", "X I"), ServerquantError, "index 3 at position 1", '"I"', "3 elements",
      late=True, X=f32(3), I=i64(0, 3))
wrong("Gather: negative index", op("Gather", "X I"), ServerquantError, "index -4 at position 0", '"I"', "3 elements",
      late=True, X=f32(3), I=i64(-4, 0))
wrong("Gather: int32 index", op("Gather", "X I"), ServerquantError, "index 9 at position 0", '"I" (int32 1)', late=True,
      X=f32(3), I=np.array([9], np.int32))
wrong("Gather: of a scalar", op("Gather", "X I"), ArgumentError, "axis is 0", '"X" (float scalar)', X=f32(), I=i64(0))
for shape, says in (
    ([7], "7 elements"),
    ([-1, -1], "more than one -1"),
    ([-5], "negative dim"),
    ([4, -1], "6 elements"),
    ([0, 0, 0], "keeps dim 2"),
    ([2**62, 2**62], "elements"),
    ([6] + [1] * 16, "at most 16"),
):
    wrong(f"Reshape: {shape}", op("Reshape", "X", "Y old", shape=shape), ShapeError, says,
          '"X"' if len(shape) < 9 else '"Y"',
          X=f32(2, 3))
wrong("Reshape: shape from floats", op("Reshape", "X S", "Y old"), DTypeError, '"S" (float 1)', "int32", X=f32(2),
      S=f32(1))
wrong("Reshape: shape from a blob", op("Reshape", "X S", "Y old"), ShapeError, "[5]", "(2, 3)", '"S"', X=f32(2, 3),
      S=i64(5))
wrong("Transpose: axes", op("Transpose", "X", axes=[0, 0]), ShapeError, "[0, 0]", "permutation", '"X"', X=f32(2, 3))
wrong("Transpose: in place", op("Transpose", "X", "X"), NetError, '"X"', "in place", X=f32(2, 3))
wrong("ExpandDims: too many", op("ExpandDims", "X", dims=list(range(15))), ShapeError, '"Y"', "at most 16", X=f32(2, 3))
wrong("Softmax: axis", op("Softmax", "X", axis=7), ArgumentError, "axis is 7", '"X" (float 2x3)', X=f32(2, 3))
wrong("Flatten: axis", op("Flatten", "X", axis=-3), ArgumentError, "axis is -3", '"X" (float 2x3)', X=f32(2, 3))

# ---- definitions -------------------------------------------------------------------------------------------------

wrong("unknown type", OperatorDef(type="Rellu", input=["X"], output=["Y"]), UnknownOperatorError, "Rellu",
      "did you mean Relu", X=f32(2))
wrong("no such engine takes it", op("Int8Conv", "X W b", engine="CUDNN", kernel=1), UnknownOperatorError, "CUDNN",
      "not implemented", "DNNLOWP", X=Q_IMAGE, W=Q_FILTER, b=bias(4))
wrong("too few inputs", op("FC", "X W"), NetError, "takes 3 inputs", "not 2", "'W'", X=f32(2, 3), W=f32(4, 3))
wrong("too few outputs", op("Relu", "X", ""), NetError, "takes 1 output", "not 0", X=f32(2))
wrong("argument twice", OperatorDef(type="Clip", input=["X"], output=["Y"],
      arg=[Argument(name="min", f=0.0), Argument(name="min", f=1.0)]), ArgumentError, '"min"', "twice", X=f32(2))
wrong("argument of no kind", OperatorDef(type="Clip", input=["X"], output=["Y"], arg=[Argument(name="min")]),
      ArgumentError, '"min"', "empty list", "a float", X=f32(2))
wrong("input with a typing error", op("Relu", "weigths"), MissingBlobError, '"weigths"', "did you mean weights",
      weights=f32(2))
