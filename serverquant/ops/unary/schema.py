"""Schemas of the unary operators."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS
from serverquant.ops.unary.maps import LARGEST, MAPS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, same_as_first, values_that_follow

# Engine DNNLOWP runs these by a table.
TABLES = ("Sigmoid", "Tanh")

X, Y = ("X: tensor of any shape",), ("Y: tensor of X's shape",)

for _name, _map in MAPS.items():
    declare(
        _name,
        inputs=1,
        inplace=[(0, 0)] if _map.inplace else [],
        args=[*_map.args, *(ARGS if _name in TABLES else ())],
        shape=same_as_first,
        doc=_map.doc,
        in_doc=(f"X: tensor of {', '.join(_map.types)}",),
        out_doc=Y,
    )
declare(
    "Relu",
    "Int8Relu",
    inputs=1,
    inplace=[(0, 0)],
    args=[
        Arg("Y_scale", "float", None, "X's scale is what counts; the mobile operator wants it equal"),
        Arg("Y_zero_point", "int", None, "X's zero point is what counts; the mobile operator wants it equal"),
    ],
    shape=same_as_first,
    doc="Y = max(X, 0); NaN and -0 stay. On Int8 tensors max(q, zero point).",
    in_doc=X,
    out_doc=Y,
)
declare(
    "Gelu",
    inputs=1,
    args=[Arg("fast_gelu", "bool", False, "by tanh: X/2 (1 + tanh(sqrt(2/pi) (X + 0.044715 X^3)))")],
    shape=same_as_first,
    doc="Y = X/2 (1 + erf(X / sqrt(2))).",
    in_doc=X,
    out_doc=Y,
)
declare(
    "IsNaN",
    inputs=1,
    shape=same_as_first,
    doc="Y = 1 where X is NaN, else 0.",
    in_doc=("X: tensor of float, double",),
    out_doc=("Y: uint8 tensor of X's shape",),
)
declare(
    "ReplaceNaN",
    inputs=1,
    inplace=[(0, 0)],
    args=[Arg("value", "float", 0.0, "what takes NaN's place")],
    shape=same_as_first,
    doc="Y = X, and value where X is NaN.",
    in_doc=("X: tensor of float, double",),
    out_doc=Y,
)
declare(
    "Not",
    inputs=1,
    shape=same_as_first,
    doc="Y = not X.",
    in_doc=("X: bool tensor",),
    out_doc=("Y: bool tensor of X's shape",),
)
declare(
    "Mod",
    inputs=1,
    inplace=[(0, 0)],
    args=[
        Arg("divisor", "payload", 0, "an integer of 64 bits, not 0"),
        Arg("sign_follow_divisor", "bool", False, "the rest has the divisor's sign, not X's"),
    ],
    shape=same_as_first,
    doc="Y = the rest of X / divisor.",
    in_doc=("X: tensor of int32, int64",),
    out_doc=Y,
)
declare(
    "FloatToHalf",
    inputs=1,
    shape=same_as_first,
    doc="Y = X in half precision, rounded half to even.",
    in_doc=("X: float tensor",),
    out_doc=("Y: float16 tensor of X's shape",),
)
declare(
    "HalfToFloat",
    inputs=1,
    shape=same_as_first,
    doc="Y = X in single precision.",
    in_doc=("X: float16 tensor",),
    out_doc=("Y: float tensor of X's shape",),
)


# ---- conversions ---------------------------------------------------------------------------------------------------

TARGETS = {name: number for number, name in dtypes.NAMES.items() if name not in ("byte", "float16")}


def cast_type(op: Any) -> int:
    """The data type that argument `to` names, by number or by name."""
    arguments = op.definition.arguments
    if not arguments.has("to"):
        return dtypes.FLOAT
    to: Any = arguments.string("to").lower() if arguments.kind("to") == "s" else arguments.int("to")
    number = TARGETS.get(to, to)
    if number not in TARGETS.values():
        known = ", ".join(f"{name} ({number})" for name, number in TARGETS.items())
        raise ArgumentError(f"argument to is {to!r}, which nothing is cast to; expected one of {known}")
    return int(number)


def cast_values(op: Any, ins: list[Spec]) -> Any:
    values = values_that_follow(ins)
    if values is None or op.to == dtypes.STRING:
        return None
    return values[0].astype(dtypes.NUMPY[op.to])


declare(
    "Cast",
    inputs=1,
    args=[
        Arg("to", "payload", None, "the data type: a number of TensorProto.DataType, or its name"),
        Arg("from_type", "int", None, "not used: the input says it"),
    ],
    shape=same_as_first,
    values=cast_values,
    doc="Y = X in another data type: towards zero, true for what is not 0; the lowest number for what does not fit.",
    in_doc=("X: tensor of any type but float16 and string",),
    out_doc=("Y: tensor of X's shape",),
)

# ---- looking at values ---------------------------------------------------------------------------------------------

declare(
    "NanCheck",
    inputs=(1, MANY),
    inplace=[(0, 0)],
    shape=same_as_first,
    effects=True,
    doc="A copy of input 0; a NaN or an infinity in it is an error.",
    in_doc=("X: float tensor", "others: not read"),
    out_doc=Y,
)
declare(
    "EnforceFinite",
    inputs=1,
    outputs=0,
    shape=lambda op, ins: [],
    effects=True,
    doc="A NaN or an infinity is an error.",
    in_doc=("X: tensor of float, double",),
)
declare(
    "EnsureClipped",
    inputs=(1, 3),
    inplace=[(0, 0)],
    args=[Arg("min", "float", -LARGEST, "lower end"), Arg("max", "float", LARGEST, "upper end")],
    shape=same_as_first,
    doc="Y = min(max(X, min), max); NaN stays.",
    in_doc=("X: float tensor",),
    out_doc=Y,
)
