"""Schemas of the fully connected layers."""

from __future__ import annotations

import math
from typing import Any

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import OBJECT, Spec
from serverquant.ops.dnnlowp import acc16
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS, WEIGHT_SCALES
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims, axis_of

AXIS_W = Arg("axis_w", "int", 1, "dims of W before it are the outputs, those from it on the inputs")
TURNED = ("FCTransposed", "FbGemmPackTranspose")  # their weights are K x N
CHANNELWISE = Arg("quantize_channelwise", "bool", False, "quantize each row of float weights by parameters of its own")


def weight_matrix(op: Any, dims: Dims) -> tuple[int, int]:
    """(outputs N, inputs K) of weights of these dims."""
    if op.type == "FbFCPacked":
        return dims[0], dims[1]
    axis = axis_of(op.args.axis_w, len(dims), "axis_w")
    sizes = math.prod(dims[:axis]), math.prod(dims[axis:])
    return sizes[::-1] if op.type in TURNED else sizes


def fc_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: X's dims before the axis, then N; after all shapes have been checked against each other."""
    axis = axis_of(op.args.axis, ins[0].ndim, extra=1)
    n, k = weight_matrix(op, ins[1].dims)
    inner = math.prod(ins[0].dims[axis:])
    if inner != k:
        raise ShapeError(
            f"{op.input_text(ins, 0)} has {inner} elements from axis {axis} on, but weights {op.input_text(ins, 1)} "
            f"have rows of {k}; the inner sizes must match (axis={op.args.axis}, axis_w={op.args.axis_w})"
        )
    if ins[2].kind != OBJECT and ins[2].size != n:
        raise op.shape_error(ins, 2, f"({n},), an entry for each row of {op.input_text(ins, 1)}")
    return [(*ins[0].dims[:axis], n)]


def is_by_row(op: Any) -> bool:
    """Whether each row of the weights has parameters of its own. Caffe2 compares the whole engine string: ROWWISE as
    one of several engines, or by preference, means nothing."""
    return bool(op.args.quantize_channelwise) or op.definition.engine in ("DNNLOWP_ROWWISE", "DNNLOWP_ROWWISE_16")


def check_not_empty(op: Any, ins: list[Spec]) -> None:
    """ShapeError for weights without elements, which cannot be quantized. Float layers take them."""
    if ins[1].size == 0:
        raise op.shape_error(ins, 1, "at least one row and one column")


AXIS = Arg("axis", "int", 1, "dims of X before it are the batch, those from it on the inputs")
_LAYER: dict[str, Any] = {
    "args": [
        AXIS,
        AXIS_W,
        CHANNELWISE,
        WEIGHT_SCALES,
        Arg("float16_compute", "bool", False, "no effect on a CPU"),
        Arg("constant_weight", "bool", True, "0: weights change from run to run; they are then quantized by min_max"),
        *acc16.ARGS,
        *OUTPUT_ARGS,
        *ARGS,
    ],
    "shape": fc_dims,
    "doc": """Y = X W^T + b, X seen as a matrix; ...Relu: negative outputs become 0.

Int8 sums are exact. Without Y_scale the output's parameters are chosen in the first run from the range of a float
product, which needs float weights and bias, and kept (see docs/numerics.md, "Defects of Caffe2").""",
    "in_doc": [
        "X: batch dims, then K elements; DNNLOWP: Int8, or float, which is quantized by its range",
        "W: N x K; DNNLOWP: float, Int8 or packed weights",
        "b: N; DNNLOWP: float, or Int8 of int32 with scale X's * W's (within 1e-4) and zero point 0",
    ],
    "out_doc": ["Y: X's dims before the axis, then N"],
}
declare("FC", inputs=3, **_LAYER)
_LAYER["in_doc"] += ["Qparam: of Y, as Int8GenQuantParams gives it; instead of Y_scale; DNNLOWP... alone"]
declare("Int8FC", "Int8FCRelu", inputs=(3, 4), **_LAYER)
declare(
    "Int8FCPackWeight",
    inputs=(1, 2),
    outputs=(1, 2),
    args=[
        AXIS_W,
        CHANNELWISE,
        Arg("save_unpacked_weights", "bool", False, "keep the int8 weights beside their packed form"),
        Arg("in_scale", "float", None, "scale of the input to come; needed to quantize a bias"),
        *acc16.ARGS,
        *ARGS,
    ],
    doc="Quantizes and packs the weights (and bias) of a fully connected layer, once, for Int8FC to use.",
    in_doc=["W: N x K, float or Int8", "b: N, float or Int8 of int32; needs in_scale"],
    out_doc=["packed weights", "b: the quantized bias, Int8 of int32"],
)
declare(
    "FCTransposed",
    inputs=3,
    args=[AXIS, AXIS_W, Arg("float16_compute", "bool", False, "no effect on a CPU")],
    shape=fc_dims,
    doc="Y = X W + b, X and W seen as matrices.",
    in_doc=["X: batch dims, then K elements", "W: K x N", "b: N"],
    out_doc=["Y: X's dims before the axis, then N"],
)
declare(
    "FbGemmPack",
    "FbGemmPackTranspose",
    inputs=1,
    args=[AXIS_W, Arg("no_packing", "bool", False, "no effect")],
    doc="Packs weights for FbFCPacked, once, rounded to half precision; those beyond its range become its ends.",
    in_doc=["W: N x K; ...Transpose: K x N"],
    out_doc=["packed weights"],
)
declare(
    "FbFCPacked",
    inputs=3,
    args=[AXIS, Arg("axis_w", "int", 1, "no effect: the packed weights are a matrix")],
    shape=fc_dims,
    doc="Y = X W^T + b with packed weights of half precision; sums are float.",
    in_doc=["X: batch dims, then K elements", "W: packed by FbGemmPack or FbGemmPackTranspose", "b: N"],
    out_doc=["Y: X's dims before the axis, then N"],
)
