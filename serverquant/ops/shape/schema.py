"""Schemas and shape rules of the operators that change shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, axis_of, same_as_first

Dims = tuple[int, ...]


# ---- Reshape, Flatten, ExpandDims, Shape ---------------------------------------------------------------------------


def resolve_reshape(wanted: list[int], dims: Dims) -> Dims:
    """Caffe2's rules: 0 keeps the input's dim at that place, one -1 takes what is left."""
    out = []
    for i, d in enumerate(wanted):
        if d == 0 and i >= len(dims):
            raise ShapeError(f"shape {wanted} keeps dim {i}, which an input of {len(dims)} dimensions does not have")
        if d < -1:
            raise ShapeError(f"shape {wanted} has a negative dim other than -1")
        out.append(dims[i] if d == 0 else d)
    size = math.prod(dims)
    if out.count(-1) > 1:
        raise ShapeError(f"shape {wanted} has more than one -1")
    if -1 in out:
        rest = -math.prod(out)
        if rest == 0 or size % rest:
            raise ShapeError(f"shape {wanted} cannot hold the {size} elements of an input of shape {dims}")
        out[out.index(-1)] = size // rest
    if math.prod(out) != size:
        raise ShapeError(f"shape {wanted} has {math.prod(out)} elements, but the input of shape {dims} has {size}")
    return tuple(out)


def reshape_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    if len(ins) == 2:
        if op.given("shape"):
            raise ArgumentError("argument shape and a second input cannot be given together")
        if ins[1].value is None:
            return None
        wanted = [int(d) for d in np.ravel(ins[1].value)]
    else:
        wanted = op.args.shape
    return [resolve_reshape(list(wanted), ins[0].dims), (ins[0].ndim,)]


def flatten_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis = axis_of(op.args.axis, ins[0].ndim, extra=1)
    return [(math.prod(ins[0].dims[:axis]), math.prod(ins[0].dims[axis:]))]


def expand_dims_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    dims = list(ins[0].dims)
    for d in sorted(set(op.args.dims)):
        if not 0 <= d <= len(dims):
            raise ShapeError(f"argument dims has {d}, which is no place in a shape of {len(dims)} dimensions")
        dims.insert(d, 1)
    return [tuple(dims)]


def expand_dims_values(op: Any, ins: list[Spec]) -> Any:
    return None if ins[0].value is None else ins[0].value.reshape(expand_dims_shape(op, ins)[0])


def shape_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    return [(len(op.args.axes) if op.args.axes else ins[0].ndim,)]


def shape_values(op: Any, ins: list[Spec]) -> Any:
    axes = [axis_of(a, ins[0].ndim, "axes") for a in op.args.axes] if op.args.axes else range(ins[0].ndim)
    return np.array([ins[0].dims[a] for a in axes], np.int64)


declare(
    "Reshape",
    inputs=(1, 2),
    outputs=2,
    inplace=[(0, 0)],
    args=[Arg("shape", "ints", [], "new shape: 0 keeps the dim at that place, one -1 takes what is left")],
    shape=reshape_shape,
    doc="The same elements in another shape, which is an argument or the second input.",
    in_doc=("data: tensor", "new_shape: int32 or int64, instead of the argument"),
    out_doc=("reshaped: tensor", "old_shape: int64, the input's dims"),
)
declare(
    "Flatten",
    inputs=1,
    inplace=[(0, 0)],
    args=[Arg("axis", "int", 1, "dims before it become the first output dim; -ndim to ndim")],
    shape=flatten_shape,
    doc="The same elements as a matrix.",
    in_doc=("input: tensor",),
    out_doc=("output: 2-D tensor",),
)
declare(
    "ExpandDims",
    inputs=1,
    inplace=[(0, 0)],
    args=[Arg("dims", "ints", [], "places of the new dims of 1, in the output")],
    shape=expand_dims_shape,
    values=expand_dims_values,
    doc="The same elements with dims of 1 put in.",
    in_doc=("data: tensor",),
    out_doc=("expanded: tensor",),
)
declare(
    "Shape",
    inputs=1,
    args=[Arg("axes", "ints", [], "only these dims, in this order; all without it")],
    shape=shape_shape,
    values=shape_values,
    doc="The input's dims as int64.",
    in_doc=("X: tensor",),
    out_doc=("shape: 1-D tensor of int64",),
)


# ---- Transpose and the two orders ----------------------------------------------------------------------------------


def permutation(op: Any, ndim: int) -> list[int]:
    """Axes of the input, in the output's order; reversed without the argument."""
    axes = op.args.axes or list(range(ndim))[::-1]
    if sorted(axes) != list(range(ndim)):
        raise ShapeError(f"argument axes {axes} is no permutation of the {ndim} dimensions of the input")
    return axes


def transpose_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    return [tuple(ins[0].dims[a] for a in permutation(op, ins[0].ndim))]


def nchw2nhwc_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 3:
        raise op.shape_error(ins, 0, "at least 3 dimensions: N, C and spatial ones")
    n, c, *space = ins[0].dims
    return [(n, *space, c)]


def nhwc2nchw_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim < 3:
        raise op.shape_error(ins, 0, "at least 3 dimensions: N, spatial ones and C")
    n, *space, c = ins[0].dims
    return [(n, c, *space)]


declare(
    "Transpose",
    inputs=1,
    args=[Arg("axes", "ints", [], "input axis of each output axis; reversed order without it")],
    shape=transpose_shape,
    doc="Permutes the axes.",
    in_doc=("X: tensor",),
    out_doc=("Y: tensor",),
)
declare(
    "NCHW2NHWC", inputs=1, shape=nchw2nhwc_shape, doc="Moves the channels last.", in_doc=("data",), out_doc=("output",)
)
declare(
    "NHWC2NCHW",
    inputs=1,
    shape=nhwc2nchw_shape,
    doc="Moves the channels second.",
    in_doc=("data",),
    out_doc=("output",),
)


# ---- Concat, Gather ------------------------------------------------------------------------------------------------


def concat_axis(op: Any, ndim: int) -> int:
    """`axis`, else the channels' place in `order`."""
    if op.given("axis"):
        return axis_of(op.args.axis, ndim, extra=op.args.add_axis)
    return 1 if op.args.order == "NCHW" else ndim - 1 + op.args.add_axis


def concat_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    first, axis = ins[0].dims, concat_axis(op, ins[0].ndim)
    if not op.args.add_axis and axis >= len(first):
        raise op.shape_error(ins, 0, f"more than {axis} dimensions, to be joined along axis {axis}")
    for i, spec in enumerate(ins):
        same = spec.dims == first if op.args.add_axis else _same_but(spec.dims, first, axis)
        if not same:
            aside = "" if op.args.add_axis else f"axis {axis} aside"
            raise op.shape_error(ins, i, f"the shape of input 0, {first}, {aside}")
    parts = [1] * len(ins) if op.args.add_axis else [spec.dims[axis] for spec in ins]
    joined = list(first)
    if op.args.add_axis:
        joined.insert(axis, len(ins))
    else:
        joined[axis] = sum(parts)
    return [tuple(joined), (len(ins),)]


def concat_values(op: Any, ins: list[Spec]) -> Any:
    """Joined shape vectors, as exporters write them; only for a Concat whose sizes are not asked for."""
    if len(op.outputs) > 1 or not ins or any(s.value is None for s in ins):
        return None
    join = np.stack if op.args.add_axis else np.concatenate
    return join([s.value for s in ins], concat_axis(op, ins[0].ndim))


def _same_but(a: Dims, b: Dims, axis: int) -> bool:
    return len(a) == len(b) and all(x == y for i, (x, y) in enumerate(zip(a, b)) if i != axis)


def gather_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    data, indices = ins[0].dims, ins[1].dims
    axis = axis_of(op.args.axis, ins[0].ndim)
    if op.args.match_outer:
        if data[:axis] != indices[:axis]:
            raise op.shape_error(ins, 1, f"the first {axis} dims of the data, {data[:axis]}, with match_outer=1")
        indices = indices[axis:]
    return [(*data[:axis], *indices, *data[axis + 1 :])]


def gather_values(op: Any, ins: list[Spec]) -> Any:
    if op.args.match_outer or ins[0].value is None or ins[1].value is None:
        return None
    data, indices = ins[0].value, ins[1].value
    axis = axis_of(op.args.axis, data.ndim)
    bad = [int(i) for i in indices.flat if not 0 <= i < data.shape[axis]]
    if bad:
        raise ShapeError(f"index {bad[0]} is out of range for axis {axis} of {data.shape[axis]} elements")
    return np.take(data, indices, axis)


declare(
    "Concat",
    inputs=(1, MANY),
    outputs=2,
    args=[
        Arg("axis", "int", None, "axis to join along; may count from the end; without it the channels of `order`"),
        Arg("order", "string", "NCHW", "NCHW or NHWC: the axis when `axis` is not given"),
        Arg("add_axis", "bool", False, "join along a new axis"),
    ],
    shape=concat_shape,
    values=concat_values,
    doc="Joins tensors along an axis.",
    in_doc=("X1, X2, ...: tensors that agree in all other dims",),
    out_doc=("concat_result: tensor", "split_info: int32, each input's size along the axis"),
)
declare(
    "Gather",
    inputs=2,
    args=[
        Arg("axis", "int", 0, "axis that the indices count along; may count from the end"),
        Arg("match_outer", "bool", False, "dims before the axis are shared by data and indices"),
    ],
    shape=gather_shape,
    values=gather_values,
    doc="Output = the slices of data at the indices.",
    in_doc=("DATA: tensor", "INDICES: int32 or int64 of any shape"),
    out_doc=("OUTPUT: dims before the axis, the indices' dims, dims behind the axis",),
)

# ---- Copy, Dropout -------------------------------------------------------------------------------------------------

declare("Copy", inputs=1, shape=same_as_first, doc="A copy of the input.", in_doc=("input",), out_doc=("output",))
declare(
    "Dropout",
    inputs=1,
    outputs=(1, 2),
    inplace=[(0, 0)],
    args=[
        Arg("is_test", "int", 0, "must be 1: only inference is supported"),
        Arg("ratio", "float", 0.5, "not used in a test"),
    ],
    shape=same_as_first,
    doc="Identity: Caffe2 scales while training, so that a test has nothing to do.",
    in_doc=("data: tensor",),
    out_doc=("output: the input", "mask: bool; written by training only"),
)
