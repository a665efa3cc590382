"""Schemas of Quantize and Dequantize."""

from __future__ import annotations

from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import same_as_first

declare(
    "Quantize",
    "Int8Quantize",
    inputs=(1, 2),
    args=[*OUTPUT_ARGS, *ARGS],
    shape=same_as_first,
    doc=(
        "Y = clamp(round(X / scale + zero point)). With engine DNNLOWP and no Y_scale the parameters are those of X's "
        "range in this run."
    ),
    in_doc=("X: float tensor", "Qparam: of Y, as Int8GenQuantParams gives it; instead of Y_scale; DNNLOWP... alone"),
    out_doc=("Y: Int8 tensor of X's shape",),
)
declare(
    "Dequantize",
    "Int8Dequantize",
    "Int8DequantizeRowWise",
    inputs=1,
    args=ARGS,
    shape=same_as_first,
    doc="Y = scale * (q - zero point).",
    in_doc=("X: Int8 tensor",),
    out_doc=("Y: float tensor of X's shape",),
)
