"""Schema of the transposed convolution of Int8 tensors."""

from __future__ import annotations

from serverquant.ops.conv.schema import TRANSPOSED_ARGS, transposed_dims
from serverquant.ops.dnnlowp.options import OUTPUT_ARGS
from serverquant.runtime.registry import declare

declare(
    "Int8ConvTranspose",
    inputs=3,
    args=[*TRANSPOSED_ARGS, *OUTPUT_ARGS],
    shape=transposed_dims,
    doc="Transposed convolution in whole numbers, order NHWC and one group only.",
    in_doc=[
        "X: Int8 of uint8, N x sizes x M",
        "filter: Int8 of uint8, M x kernel x C",
        "bias: Int8 of int32, C, zero point 0; its scale is not looked at",
    ],
    out_doc=["Y: Int8 of uint8, N x sizes x C"],
)
