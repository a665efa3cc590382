"""Schemas and shape rules of the operators that give the same elements another shape, or tell a shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, same_as_first

Dims = tuple[int, ...]


# ---- Reshape -------------------------------------------------------------------------------------------------------


def resolve_reshape(wanted: list[int], dims: Dims) -> Dims:
    """Caffe2's rules: 0 keeps the input's dim at that place, one -1 takes what is left. Without elements, 0 stays 0 and
    -1 becomes 0."""
    size = math.prod(dims)
    if any(d < -1 for d in wanted):
        raise ShapeError(f"shape {wanted} has a negative dim other than -1")
    if wanted.count(-1) > 1:
        raise ShapeError(f"shape {wanted} has more than one -1")
    out = list(wanted)
    for i, d in enumerate(wanted):
        if d == 0 and size:
            if i >= len(dims):
                raise ShapeError(
                    f"shape {wanted} keeps dim {i}, which an input of {len(dims)} dimensions does not have"
                )
            out[i] = dims[i]
    if -1 in out:
        rest = -math.prod(out)
        if size and (rest == 0 or size % rest):
            raise ShapeError(f"shape {wanted} cannot hold the {size} elements of an input of shape {dims}")
        out[out.index(-1)] = size // rest if size else 0
    if math.prod(out) != size:
        raise ShapeError(f"shape {wanted} has {math.prod(out)} elements, but the input of shape {dims} has {size}")
    return tuple(out)


def reshape_shape(op: Any, ins: list[Spec]) -> list[Dims] | None:
    if len(ins) == 2:
        if op.given("shape"):
            raise ArgumentError("argument shape and a second input cannot be given together")
        if ins[1].ndim != 1 or ins[1].size == 0:
            raise op.shape_error(ins, 1, "a 1-D tensor of at least one dim")
        if ins[1].value is None:
            return None
        wanted = [int(d) for d in ins[1].value]
    else:
        wanted = op.args.shape
    return [resolve_reshape(list(wanted), ins[0].dims), (ins[0].ndim,)]


def reshape_values(op: Any, ins: list[Spec]) -> Any:
    if ins[0].value is None:
        return None
    dims = reshape_shape(op, ins)
    return dims and [
        ins[0].value.reshape(dims[0]),
        np.array(ins[0].dims, ins[1].value.dtype if len(ins) == 2 else np.int64),
    ]


declare(
    "Reshape",
    inputs=(1, 2),
    outputs=2,
    inplace=[(0, 0)],
    args=[Arg("shape", "ints", [], "new shape: 0 keeps the dim at that place, one -1 takes what is left")],
    shape=reshape_shape,
    values=reshape_values,
    doc="The same elements in another shape, which is an argument or the second input.",
    in_doc=("data: tensor", "new_shape: int32 or int64, instead of the argument"),
    out_doc=("reshaped: tensor", "old_shape: the input's dims, int64 or of the second input's type"),
)


# ---- other shapes for the same elements ----------------------------------------------------------------------------


def flatten_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis, dims = op.args.axis, ins[0].dims
    if not 0 <= axis <= len(dims):
        raise ArgumentError(f"argument axis is {axis}; an input of {len(dims)} dimensions takes 0 to {len(dims)}")
    return [(math.prod(dims[:axis]), math.prod(dims[axis:]))]


def flatten_to_vec_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if not ins[0].dims:
        raise op.shape_error(ins, 0, "at least one dimension")
    return [(ins[0].size,)]


def resize_like_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].size != ins[1].size:
        raise op.shape_error(ins, 1, f"as many elements as input 0 has, {ins[0].size}")
    return [ins[1].dims]


def expand_dims_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    dims = list(ins[0].dims)
    for d in sorted(set(op.args.dims)):
        if d > len(dims):
            raise ShapeError(f"argument dims has {d}, which is no place in a shape of {len(dims)} dimensions")
        dims.insert(d, 1)
    return [tuple(dims)]


def squeeze_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    dims, gone = ins[0].dims, set(op.args.dims)
    for d in gone:
        if d >= len(dims):
            raise op.shape_error(ins, 0, f"at least {d + 1} dimensions, for argument dims {op.args.dims}")
        if dims[d] != 1:
            raise op.shape_error(ins, 0, f"1 as dim {d}, which is to be taken away")
    return [tuple(d for i, d in enumerate(dims) if i not in gone)]


def prepend_dim_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    dims, outer = ins[0].dims, op.args.dim_size
    if not dims or dims[0] % outer:
        raise op.shape_error(ins, 0, f"a first dim that is a multiple of dim_size, {outer}")
    return [(outer, dims[0] // outer, *dims[1:])]


def merge_dim_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    dims = ins[0].dims
    if len(dims) < 2:
        raise op.shape_error(ins, 0, "at least 2 dimensions")
    return [(dims[0] * dims[1], *dims[2:])]


def same_values(op: Any, ins: list[Spec]) -> Any:
    """The input's values in the output's shape."""
    return None if ins[0].value is None else ins[0].value.reshape(op.schema.shape(op, ins)[0])


def _same_elements(name: str, rule: Any, doc: str, inplace: Any = (), args: Any = (), **more: Any) -> None:
    rules = {"inputs": 1, "in_doc": ("data: tensor",), "out_doc": ("output: the input's elements",), **more}
    declare(name, inplace=inplace, args=args, shape=rule, values=same_values, doc=doc, **rules)


IN_PLACE = [(0, 0)]
_same_elements(
    "Flatten",
    flatten_shape,
    "The same elements as a matrix.",
    args=[Arg("axis", "int", 1, "dims before it become the first output dim; 0 to the number of dims")],
)
_same_elements("FlattenToVec", flatten_to_vec_shape, "The same elements as a vector.")
_same_elements(
    "ResizeLike",
    resize_like_shape,
    "The elements of input 0 in the shape of input 1.",
    inputs=2,
    in_doc=("X: tensor", "Y: tensor of as many elements; only its shape is used"),
)
_same_elements(
    "ExpandDims",
    expand_dims_shape,
    "The same elements with dims of 1 put in.",
    IN_PLACE,
    [Arg("dims", "ints", [], "places of the new dims of 1, in the output")],
)
_same_elements(
    "Squeeze",
    squeeze_shape,
    "The same elements without some dims of 1.",
    IN_PLACE,
    [Arg("dims", "ints", [], "the dims to take away, not negative; each must be 1")],
)
_same_elements(
    "PrependDim",
    prepend_dim_shape,
    "The first dim is split in two.",
    IN_PLACE,
    [Arg("dim_size", "int", 0, "the new first dim, at least 1; it divides the old one")],
)
_same_elements("MergeDim", merge_dim_shape, "The first two dims become one.", IN_PLACE)


# ---- Shape, Size ---------------------------------------------------------------------------------------------------


def shape_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    bad = [a for a in op.args.axes if not 0 <= a < ins[0].ndim]
    if bad:
        raise ArgumentError(f"argument axes has {bad[0]}, which an input of {ins[0].ndim} dimensions does not have")
    return [(len(op.args.axes) or ins[0].ndim,)]


def shape_values(op: Any, ins: list[Spec]) -> Any:
    return np.array([ins[0].dims[a] for a in op.args.axes or range(ins[0].ndim)], np.int64)


def scalar_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    return [()]


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
declare(
    "Size",
    inputs=1,
    shape=scalar_shape,
    values=lambda op, ins: np.array(ins[0].size, np.int64),
    doc="The number of the input's elements.",
    in_doc=("X: tensor",),
    out_doc=("size: int64, no dims",),
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


def order_shape(axes: Any) -> Any:
    """The rule of NCHW2NHWC and NHWC2NCHW; `axes(ndim)` gives the permutation."""

    def rule(op: Any, ins: list[Spec]) -> list[Dims]:
        if ins[0].ndim < 3:
            raise op.shape_error(ins, 0, "at least 3 dimensions: batch, channels and spatial ones")
        return [tuple(ins[0].dims[a] for a in axes(ins[0].ndim))]

    return rule


def channels_last_axes(ndim: int) -> list[int]:
    return [0, *range(2, ndim), 1]


def channels_second_axes(ndim: int) -> list[int]:
    return [0, ndim - 1, *range(1, ndim - 1)]


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
    "NCHW2NHWC",
    inputs=1,
    shape=order_shape(channels_last_axes),
    doc="Moves the channels last.",
    in_doc=("data: at least 3-D",),
    out_doc=("output: tensor",),
)
declare(
    "NHWC2NCHW",
    inputs=1,
    shape=order_shape(channels_second_axes),
    doc="Moves the channels second.",
    in_doc=("data: at least 3-D",),
    out_doc=("output: tensor",),
)


# ---- copies --------------------------------------------------------------------------------------------------------


def ensure_dense_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if not ins[0].dims:
        raise op.shape_error(ins, 0, "at least one dimension")
    return [ins[0].dims]


def copy_values(op: Any, ins: list[Spec]) -> Any:
    return ins[0].value


for types, inplace, doc in (
    (("Copy", "CopyCPUToGPU", "CopyGPUToCPU", "CopyFromCPUInput", "EnsureCPUOutput"), (), "A copy of the input."),
    (("Alias",), (), "A copy of the input. In Caffe2 both blobs share memory."),
    (("StopGradient",), IN_PLACE, "A copy of the input; training stops here."),
):
    declare(
        *types,
        inputs=1,
        inplace=inplace,
        shape=same_as_first,
        values=copy_values,
        doc=doc,
        in_doc=("input: tensor",),
        out_doc=("output: tensor",),
    )
declare(
    "AliasWithName",
    inputs=1,
    inplace=IN_PLACE,
    args=[
        Arg("name", "string", "invalid_name", "a name for a runtime; not used"),
        Arg("is_backward", "bool", False, "not used"),
    ],
    shape=same_as_first,
    doc="A copy of the input under a name for other runtimes.",
    in_doc=("input: tensor",),
    out_doc=("output: tensor",),
)
declare(
    "CopyOnDeviceLike",
    inputs=2,
    shape=same_as_first,
    doc="A copy of the input on the device of the second one: there is one device here.",
    in_doc=("input: tensor", "dst: tensor, not read"),
    out_doc=("output: tensor",),
)
declare(
    "EnsureDense",
    inputs=1,
    inplace=IN_PLACE,
    shape=ensure_dense_shape,
    doc="A copy of the input, which has at least one dimension.",
    in_doc=("input: tensor",),
    out_doc=("output: tensor",),
)
