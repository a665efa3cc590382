"""Schemas of the unary operators whose types are for Int8 tensors alone."""

from __future__ import annotations

from serverquant.ops.dnnlowp.kept import KEPT_ARGS
from serverquant.ops.dnnlowp.options import ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, same_as_first

X, Y = ("X: Int8 of uint8, any shape",), ("Y: Int8 of uint8, X's shape",)

declare(
    "Int8LeakyRelu",
    inputs=1,
    inplace=[(0, 0)],
    args=[
        Arg("alpha", "float", 0.01, "slope of the negative side, between 0 and 1"),
        *KEPT_ARGS,
    ],
    shape=same_as_first,
    doc="x for x >= 0, alpha * x rounded to even below, where x = q - zero point. Y has X's scale and zero point.",
    in_doc=X,
    out_doc=Y,
)
declare(
    "Int8Sigmoid",
    inputs=1,
    args=[
        *ARGS,
        Arg("Y_scale", "float", None, "mobile: 1/256 where given; DNNLOWP: no effect"),
        Arg("Y_zero_point", "int", None, "mobile: 0 where given; DNNLOWP: no effect"),
    ],
    shape=same_as_first,
    doc="""1 / (1 + exp(-x)) by a table of 256 bytes. Mobile (no engine): Y has scale 1/256 and zero point 0. DNNLOWP:
Y has scale 0.5/127 and zero point 0, and X is taken to have scale 6/127 and zero point 128, whatever it has.""",
    in_doc=X,
    out_doc=Y,
)
declare(
    "Int8Tanh",
    inputs=1,
    args=[
        *ARGS,
        Arg("Y_scale", "float", None, "no effect"),
        Arg("Y_zero_point", "int", None, "no effect"),
    ],
    shape=same_as_first,
    doc="""tanh(x) by a table of 256 bytes, engine DNNLOWP: Y has scale 1/127 and zero point 128, and X is taken to have
scale 3/127 and zero point 128, whatever it has.""",
    in_doc=X,
    out_doc=Y,
)
