"""Schemas of the unary operators."""

from __future__ import annotations

from serverquant.ops.unary.maps import MAPS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, same_as_first

X, Y = ("X: tensor of any shape",), ("Y: tensor of X's shape",)

for _name, _map in MAPS.items():
    declare(
        _name,
        inputs=1,
        inplace=[(0, 0)] if _map.inplace else [],
        args=_map.args,
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
        Arg("divisor", "int", 0, "not 0"),
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
