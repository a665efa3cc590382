"""Schemas of the unary operators."""

from __future__ import annotations

from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, same_as_first

X, Y = ("X: tensor of any shape",), ("Y: tensor of X's shape",)

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
    "Clip",
    inputs=1,
    inplace=[(0, 0)],
    args=[
        Arg("min", "float", -3.4028234663852886e38, "lower end"),
        Arg("max", "float", 3.4028234663852886e38, "upper end"),
    ],
    shape=same_as_first,
    doc="Y = min(max(X, min), max); NaN stays.",
    in_doc=X,
    out_doc=Y,
)
