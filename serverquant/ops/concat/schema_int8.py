"""Schemas of joining and cutting Int8 tensors."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.concat.schema import concat_shape, slice_ranges
from serverquant.ops.dnnlowp.kept import KEPT_ARGS
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims, axis_of


def int8_slice_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    """Shape rule; dim, start_idx and end_idx are another way to write starts and ends."""
    if op.one_dim:
        dim = axis_of(op.args.dim, ins[0].ndim, "dim")
        op.args.starts, op.args.ends = [0] * ins[0].ndim, [-1] * ins[0].ndim
        op.args.starts[dim], op.args.ends[dim] = op.args.start_idx, op.args.end_idx
        if not 0 <= op.args.start_idx <= ins[0].dims[dim]:
            raise ArgumentError(f"argument start_idx is {op.args.start_idx}, outside of dim {dim} of {ins[0].dims}")
    ranges = slice_ranges(op, ins)
    return None if ranges is None else [tuple(last - first for first, last in ranges)]


declare(
    "Int8Slice",
    inputs=(1, 3),
    args=[
        Arg("starts", "ints", [], "first index of each dim; -k is the dim + 1 - k"),
        Arg("ends", "ints", [], "index behind the last of each dim; -1 for all"),
        Arg("dim", "int", None, "the one dim that is cut, instead of starts and ends"),
        Arg("start_idx", "int", None, "with dim: first index"),
        Arg("end_idx", "int", None, "with dim: index behind the last; -1 for all"),
        *KEPT_ARGS,
    ],
    shape=int8_slice_shape,
    doc="A piece along one dim.",
    in_doc=("data: Int8 of uint8", "starts: int32 or int64", "ends: like starts"),
    out_doc=("output: Int8 of uint8",),
)
declare(
    "Int8Concat",
    inputs=(1, MANY),
    outputs=(1, 2),
    args=[
        Arg("axis", "int", 0, "where to join; without it 3 for order NHWC, 1 for NCHW, 0 without an order"),
        Arg("order", "string", "", "NCHW or NHWC"),
        Arg("add_axis", "bool", False, "join along a new axis"),
        *OUTPUT_ARGS,
        *ARGS,
    ],
    shape=concat_shape,
    doc="""Joins tensors along an axis. Without engine bytes are copied: Y_scale and Y_zero_point must be input 0's,
those of the others are not looked at. DNNLOWP: every part is requantized to Y's parameters.""",
    in_doc=("inputs: Int8 of uint8; with DNNLOWP each Int8 or float",),
    out_doc=("concat_result: Int8 of uint8", "split_info: int32, sizes along the axis"),
)
