"""Schemas of the operators that choose parameters of tensors."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims

declare(
    "Int8QuantSchemeBlobFill",
    inputs=0,
    args=[
        Arg("quantization_kind", "string", "MIN_MAX_QUANTIZATION", "min_max, l1, l2, l2_approx, kl, p99; or long"),
        Arg("preserve_sparsity", "bool", False, "symmetric parameters"),
    ],
    doc="A scheme for Int8GenQuantParams.",
    out_doc=("quant_scheme: scheme",),
)
declare(
    "Int8GenQuantParams",
    inputs=2,
    doc="Scale and zero point of 8 bits for a tensor's values, by a scheme. Quantize and Int8FC take them.",
    in_doc=("X: float tensor", "quant_scheme: scheme"),
    out_doc=("quant_param: scale and zero point",),
)
declare(
    "Int8GenQuantParamsMinMax",
    inputs=3,
    doc="Scale and zero point of 8 bits for the range [X_min, X_max]. Of the scheme only preserve_sparsity counts.",
    in_doc=("X_min: float, one element", "X_max: float, one element", "quant_scheme: scheme"),
    out_doc=("quant_param: scale and zero point",),
)


def equalization_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: an entry for each input of a layer."""
    sizes = [spec.size // spec.dims[0] if spec.ndim and spec.dims[0] else 0 for spec in ins]
    if 0 in sizes or sizes[0] != sizes[1]:
        raise ShapeError(
            f"{op.input_text(ins, 0)} and {op.input_text(ins, 1)} must be matrices with rows of one size, not 0"
        )
    return [(sizes[0],)]


declare(
    "ComputeEqualizationScale",
    inputs=2,
    shape=equalization_shape,
    doc="S[j] = sqrt(max |W[:, j]| / max |X[:, j]|), or 1 where either is 0: what evens out the inputs of a layer.",
    in_doc=("X: M x K, inputs of a layer", "W: N x K, its weights"),
    out_doc=("S: K",),
)
