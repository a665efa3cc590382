"""Schemas and shape rules of the operators that join, cut and repeat tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, axis_of

Dims = tuple[int, ...]
AXIS = Arg("axis", "int", None, "axis; may count from the end; without it the channels of `order`")
ORDER = Arg("order", "string", "NCHW", "NCHW (axis 1) or NHWC (axis 3), when `axis` is not given")


def axis_in(op: Any, ndim: int) -> int:
    """The canonical axis, from `axis` or `order`."""
    if op.given("axis"):
        return axis_of(op.args.axis, ndim)
    axis = {"NCHW": 1, "NHWC": 3}[op.args.order]
    if axis >= ndim:
        raise ShapeError(f"order {op.args.order} means axis {axis}, which a tensor of {ndim} dimensions does not have")
    return axis


def check_axis(op: Any) -> None:
    """For `setup`: one of axis and order, and a known order."""
    if op.given("axis") and op.given("order"):
        raise ArgumentError("arguments axis and order cannot be given together")
    if op.args.order not in ("NCHW", "NHWC"):
        raise ArgumentError(f'argument order is "{op.args.order}"; it must be NCHW or NHWC')


def adds_axis(op: Any) -> bool:
    """add_axis counts only where an axis is given."""
    return op.args.add_axis and op.given("axis")


# ---- Concat --------------------------------------------------------------------------------------------------------


def concat_axis(op: Any, ndim: int) -> int:
    return axis_in(op, ndim + adds_axis(op))


def concat_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    first, axis, adds = ins[0].dims, concat_axis(op, ins[0].ndim), adds_axis(op)
    for i, spec in enumerate(ins):
        if not (spec.dims == first if adds else _same_but(spec.dims, first, axis)):
            raise op.shape_error(ins, i, f"the shape of input 0, {first}" + ("" if adds else f", axis {axis} aside"))
    joined = list(first)
    if adds:
        joined.insert(axis, len(ins))
    else:
        joined[axis] = sum(spec.dims[axis] for spec in ins)
    return [tuple(joined), (len(ins),)]


def concat_values(op: Any, ins: list[Spec]) -> Any:
    """Joined shape vectors, as exporters write them."""
    if any(s.value is None for s in ins):
        return None
    axis, adds = concat_axis(op, ins[0].ndim), adds_axis(op)
    sizes = [1 if adds else s.dims[axis] for s in ins]
    joined = (np.stack if adds else np.concatenate)([s.value for s in ins], axis)
    return [joined, np.array(sizes, np.int32)][: len(op.outputs)]


def _same_but(a: Dims, b: Dims, axis: int) -> bool:
    return len(a) == len(b) and all(x == y for i, (x, y) in enumerate(zip(a, b)) if i != axis)


declare(
    "Concat",
    "DepthConcat",
    inputs=(1, MANY),
    outputs=2,
    args=[
        AXIS,
        ORDER,
        Arg("add_axis", "bool", False, "join along a new axis, which `axis` names"),
        *OUTPUT_ARGS,
        *ARGS,
    ],
    shape=concat_shape,
    values=concat_values,
    doc="Joins tensors along an axis. DepthConcat is an old name.",
    in_doc=("X1, X2, ...: tensors that agree in all other dims",),
    out_doc=("concat_result: tensor", "split_info: int32, each input's size along the axis"),
)


# ---- Split ---------------------------------------------------------------------------------------------------------


def split_sizes(op: Any, ins: list[Spec], dim: int) -> list[int] | None:
    """The outputs' sizes along an axis of `dim`; None when they are values that are not known yet."""
    count = len(op.outputs)
    if len(ins) == 2:
        if op.args.split:
            raise ArgumentError("argument split and a second input cannot be given together")
        if ins[1].size != count:
            raise op.shape_error(ins, 1, f"one size for each of the {count} outputs")
        if ins[1].value is None:
            return None
        sizes = [int(n) for n in ins[1].value.ravel()]
    elif op.args.split:
        sizes = op.args.split
        if len(sizes) != count:
            raise ArgumentError(f"argument split has {len(sizes)} sizes for {count} outputs")
    elif dim % count:
        raise op.shape_error(ins, 0, f"a multiple of the {count} outputs along the axis, which has {dim}")
    else:
        sizes = [dim // count] * count
    if min(sizes) < 0 or (sum(sizes) != dim and not adds_axis(op)):
        raise ShapeError(f"sizes {list(sizes)} do not add up to the {dim} elements along the axis")
    return sizes


def split_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    dims, axis = ins[0].dims, axis_in(op, ins[0].ndim)
    sizes = split_sizes(op, ins, dims[axis])
    if sizes is None:
        return None
    if adds_axis(op):
        if dims[axis] != len(op.outputs):
            raise op.shape_error(ins, 0, f"{len(op.outputs)} along axis {axis}, one for each output")
        return [(*dims[:axis], *dims[axis + 1 :])] * len(op.outputs)
    return [(*dims[:axis], n, *dims[axis + 1 :]) for n in sizes]


def split_values(op: Any, ins: list[Spec]) -> Any:
    if ins[0].value is None:
        return None
    shapes, axis = split_shape(op, ins), axis_in(op, ins[0].ndim)
    sizes = split_sizes(op, ins, ins[0].dims[axis])
    if shapes is None or sizes is None:
        return None
    ends = np.cumsum([1] * len(sizes) if adds_axis(op) else sizes)[:-1]
    return [part.reshape(dims) for part, dims in zip(np.split(ins[0].value, ends, axis), shapes)]


declare(
    "Split",
    "DepthSplit",
    inputs=(1, 2),
    outputs=(1, MANY),
    args=[
        AXIS,
        ORDER,
        Arg("split", "ints", [], "the outputs' sizes along the axis; equal ones without it"),
        Arg("add_axis", "bool", False, "every output is one slice, without the axis; undoes Concat with add_axis"),
    ],
    shape=split_shape,
    values=split_values,
    doc="Cuts a tensor into parts along an axis. DepthSplit is an old name.",
    in_doc=("input: tensor", "split: int32, the outputs' sizes, instead of the argument"),
    out_doc=("output_0, output_1, ...: tensors",),
)


def split_by_lengths_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    dims, axis, count = ins[0].dims, axis_in(op, ins[0].ndim), len(op.outputs)
    if ins[1].ndim < 1 or ins[1].dims[0] % count:
        raise op.shape_error(ins, 1, f"a vector whose length is a multiple of the {count} outputs")
    lengths = ins[1].value
    if lengths is None:
        return None
    total, scale = int(lengths.sum()), 1
    if op.args.use_scaling_lengths:
        if dims[axis] % (total or 1):
            raise op.shape_error(ins, 0, f"a multiple of the lengths' sum, {total}, along axis {axis}")
        scale = dims[axis] // total if total else 1
    elif total != dims[axis]:
        raise op.shape_error(ins, 0, f"the lengths' sum, {total}, along axis {axis}")
    sizes = lengths.reshape(count, -1).sum(axis=1) * scale
    if lengths.min(initial=0) < 0:
        raise ShapeError(f"the lengths have {lengths.min()}; they must not be negative")
    return [(*dims[:axis], int(n), *dims[axis + 1 :]) for n in sizes]


declare(
    "SplitByLengths",
    inputs=2,
    outputs=(1, MANY),
    args=[
        AXIS,
        ORDER,
        Arg(
            "use_scaling_lengths",
            "bool",
            False,
            "the axis has a multiple of the lengths' sum; every length counts so often",
        ),
    ],
    shape=split_by_lengths_shape,
    doc="Cuts a tensor into parts along an axis; each output takes as many of the lengths as the others.",
    in_doc=("input: tensor", "lengths: int32, a multiple of the outputs"),
    out_doc=("output_0, output_1, ...: tensors",),
)


# ---- Slice ---------------------------------------------------------------------------------------------------------


def slice_range(start: int, end: int, dim: int) -> tuple[int, int]:
    """Caffe2's rule for one dim: -k is dim + 1 - k, so that end -1 is the end; what lies behind the end is the end."""
    if dim == 0:
        return 0, 0
    first, last = (min(v + dim + 1 if v < 0 else v, dim) for v in (start, end))
    if not 0 <= first <= last:
        raise ShapeError(f"a slice from {start} to {end} is not within a dim of {dim}")
    return first, last


def slice_bounds(op: Any, ins: list[Spec]) -> tuple[list[int], list[int]] | None:
    """Starts and ends as given; None when they are values that are not known yet."""
    if len(ins) == 1:
        return op.args.starts, op.args.ends
    if ins[1].value is None or ins[2].value is None:
        return None
    for i in (1, 2):
        if ins[i].ndim != 1:
            raise op.shape_error(ins, i, "a 1-D tensor")
    return ins[1].value.tolist(), ins[2].value.tolist()


def slice_ranges(op: Any, ins: list[Spec]) -> list[tuple[int, int]] | None:
    """(first, behind the last) of every dim; at most one dim is cut unless there are no elements."""
    bounds = slice_bounds(op, ins)
    if bounds is None:
        return None
    (starts, ends), dims = bounds, ins[0].dims
    if len(starts) != len(ends) or len(starts) > len(dims):
        raise ShapeError(f"{len(starts)} starts and {len(ends)} ends cannot cut an input of {len(dims)} dimensions")
    ranges = [slice_range(s, e, d) for s, e, d in zip(starts, ends, dims)]
    ranges += [(0, d) for d in dims[len(starts) :]]
    cut = [i for i, (r, d) in enumerate(zip(ranges, dims)) if r != (0, d)]
    if len(cut) > 1 and ins[0].size:
        raise ShapeError(f"dims {cut} of {dims} would be cut; Slice cuts one dim, so chain several")
    return ranges


def slice_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    ranges = slice_ranges(op, ins)
    return None if ranges is None else [tuple(last - first for first, last in ranges)]


def slice_values(op: Any, ins: list[Spec]) -> Any:
    ranges = None if ins[0].value is None else slice_ranges(op, ins)
    return None if ranges is None else ins[0].value[tuple(slice(first, last) for first, last in ranges)]


declare(
    "Slice",
    inputs=(1, 3),
    args=[
        Arg("starts", "ints", [], "first index of each dim; -k is the dim + 1 - k"),
        Arg("ends", "ints", [], "index behind the last of each dim; -1 is the end, -k the dim + 1 - k"),
    ],
    shape=slice_shape,
    values=slice_values,
    doc="Cuts a piece out along one dim; other dims are whole. Bounds are arguments or two more inputs.",
    in_doc=("data: tensor", "starts: int32 or int64, 1-D", "ends: 1-D, of the same type"),
    out_doc=("output: tensor",),
)


# ---- Tile, NumpyTile, Expand ---------------------------------------------------------------------------------------


def tile_arguments(op: Any, ins: list[Spec]) -> tuple[int, int] | None:
    """(tiles, axis); None when they are values that are not known yet."""
    tiles, axis = op.args.tiles, op.args.axis
    for i, spec in enumerate(ins[1:], 1):
        if spec.dims != (1,):
            raise op.shape_error(ins, i, "one element in one dimension")
        if spec.value is None:
            return None
    if len(ins) > 1:
        tiles = int(ins[1].value[0])
        if ins[1].dtype == dtypes.INT64:  # as Caffe2: with tiles of int64 the argument is not used
            axis = 0
    if len(ins) > 2:
        axis = int(ins[2].value[0])
    if tiles < 0:
        raise ShapeError(f"tiles is {tiles}; it must not be negative")
    return tiles, axis_of(axis, ins[0].ndim)


def tile_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    found = tile_arguments(op, ins)
    if found is None:
        return None
    (tiles, axis), dims = found, ins[0].dims
    return [(*dims[:axis], dims[axis] * tiles, *dims[axis + 1 :])]


def numpy_tile_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    dims = ins[0].dims
    if ins[1].dims != (len(dims),):
        raise op.shape_error(ins, 1, f"one number for each of the {len(dims)} dimensions of input 0")
    repeats = ins[1].value
    if repeats is None:
        return None
    if (repeats < 0).any():
        raise ShapeError(f"repeats are {repeats.tolist()}; they must not be negative")
    return [tuple(d * int(n) for d, n in zip(dims, repeats))]


def expand_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    if ins[1].value is None:
        return None
    wanted, dims = [max(int(d), 1) for d in ins[1].value.ravel()], list(ins[0].dims)
    ndim = max(len(wanted), len(dims))
    out = []
    for a, b in zip([1] * (ndim - len(dims)) + dims, [1] * (ndim - len(wanted)) + wanted):
        if a == 0 or (a != b and 1 not in (a, b)):
            raise op.shape_error(
                ins, 0, f"dims that are 1 or those of the shape {wanted}, counted from the last; none 0"
            )
        out.append(max(a, b))
    return [tuple(out)]


declare(
    "Tile",
    inputs=(1, 3),
    args=[
        Arg("tiles", "int", 1, "how often; needed without the second input"),
        Arg("axis", "int", 0, "axis to repeat along; may count from the end; needed without the third input"),
    ],
    shape=tile_shape,
    doc="Repeats a tensor along an axis.",
    in_doc=(
        "X: tensor",
        "tiles: int32 or int64, one element; with int64 the axis is 0 unless a third input gives it",
        "axis",
    ),
    out_doc=("Y: tensor",),
)
declare(
    "NumpyTile",
    inputs=2,
    shape=numpy_tile_shape,
    doc="Repeats a tensor along every axis.",
    in_doc=("data: tensor", "repeats: int64, one for each dim"),
    out_doc=("tiled_data: tensor",),
)
declare(
    "Expand",
    inputs=2,
    shape=expand_shape,
    doc="Repeats dims of 1 until the tensor has a shape, as numpy broadcasts. A number below 1 keeps the input's dim.",
    in_doc=("X: tensor", "shape: int64"),
    out_doc=("Y: tensor",),
)
