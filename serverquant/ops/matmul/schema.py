"""Schemas of matrix products."""

from __future__ import annotations

import math
from typing import Any

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims, axis_of

TRANS_ARGS = [
    Arg("trans_a", "bool", False, "take A transposed"),
    Arg("trans_b", "bool", False, "take B transposed"),
]


def _misfit(op: Any, ins: list[Spec], a: Dims, b: Dims) -> ShapeError:
    return ShapeError(
        f"{op.input_text(ins, 0)} and {op.input_text(ins, 1)} do not fit: matrices of {a[0]} x {a[1]} and {b[0]} x "
        f"{b[1]} (trans_a={int(op.args.trans_a)}, trans_b={int(op.args.trans_b)})"
    )


def matmul_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule of MatMul: both inputs are seen as matrices, cut at their axes."""
    a, b = (
        _cut(ins[i].dims, axis_of(axis, ins[i].ndim, name), bool(trans))
        for i, axis, name, trans in (
            (0, op.args.axis_a, "axis_a", op.args.trans_a),
            (1, op.args.axis_b, "axis_b", op.args.trans_b),
        )
    )
    if a[1] != b[0]:
        raise _misfit(op, ins, a, b)
    if len(ins) > 2:
        if ins[2].size != a[0] * b[1]:
            raise op.shape_error(ins, 2, f"as many elements as the product has, {a[0]} x {b[1]}")
        return [ins[2].dims]
    return [(a[0], b[1])]


def _cut(dims: Dims, axis: int, trans: bool) -> Dims:
    matrix = math.prod(dims[:axis]), math.prod(dims[axis:])
    return matrix[::-1] if trans else matrix


def batch_matmul_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule of BatchMatMul: numpy.matmul's, but a product of two vectors has one element."""
    a, b = ins[0].dims, ins[1].dims
    for i in (0, 1):
        if ins[i].ndim == 0:
            raise op.shape_error(ins, i, "at least one dimension")
    matrix_a = (1, a[0]) if len(a) == 1 else (a[:-3:-1] if op.args.trans_a else a[-2:])
    matrix_b = (b[0], 1) if len(b) == 1 else (b[:-3:-1] if op.args.trans_b else b[-2:])
    if matrix_a[1] != matrix_b[0]:
        raise _misfit(op, ins, matrix_a, matrix_b)
    if len(a) == len(b) == 1:
        return [(1,)]
    rows = () if len(a) == 1 else matrix_a[:1]
    columns = () if len(b) == 1 else matrix_b[1:]
    return [(*_batch(op, ins, a[:-2], b[:-2]), *rows, *columns)]


def _batch(op: Any, ins: list[Spec], a: Dims, b: Dims) -> Dims:
    """The batch dims of both broadcast together."""
    n = max(len(a), len(b))
    a, b = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    both_matrices = ins[0].ndim > 1 and ins[1].ndim > 1
    if both_matrices and a != b and not op.args.broadcast:
        raise ShapeError(
            f"{op.input_text(ins, 0)} and {op.input_text(ins, 1)} have other batch dims; broadcast=1 takes such"
        )
    if any(x != y and 1 not in (x, y) for x, y in zip(a, b)):
        raise ShapeError(f"the batch dims of {op.input_text(ins, 0)} and {op.input_text(ins, 1)} do not broadcast")
    return tuple(y if x == 1 else x for x, y in zip(a, b))


declare(
    "MatMul",
    inputs=(2, 3),
    args=[
        Arg("axis_a", "int", 1, "dims of A before it are the rows, those from it on the columns"),
        Arg("axis_b", "int", 1, "the same for B"),
        *TRANS_ARGS,
    ],
    shape=matmul_dims,
    doc="Y = A B, both seen as matrices.",
    in_doc=["A: M x K", "B: K x N", "like: Y takes its shape, optional"],
    out_doc=["Y: M x N"],
)
declare(
    "BatchMatMul",
    "Int8BatchMatMul",
    inputs=2,
    args=[
        *TRANS_ARGS,
        Arg("broadcast", "bool", False, "batch dims that differ are broadcast as in numpy"),
        Arg("constant_B", "bool", False, "engine DNNLOWP: B is a weight, quantized once, each matrix by itself"),
        *OUTPUT_ARGS,
        *ARGS,
    ],
    shape=batch_matmul_dims,
    doc="Y = A B for every matrix of a batch. A vector is a row as A and a column as B, and its dim is not in Y.",
    in_doc=["A: (batch dims) x M x K, or K", "B: (batch dims) x K x N, or K"],
    out_doc=["Y: (batch dims) x M x N"],
)


def pairs_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule of ConcatBatchMatMulBatchGatherOp: batch, then the indices' dims."""
    if ins[1].ndim < 1:
        raise op.shape_error(ins, 1, "a batch in front")
    for i in range(2, len(ins)):
        if ins[i].dims != ins[1].dims:
            raise op.shape_error(ins, i, f"{ins[1].dims}, as input 1 has")
    return [(ins[1].dims[0], *ins[0].dims)]


declare(
    "ConcatBatchMatMulBatchGatherOp",
    inputs=(2, MANY),
    shape=pairs_dims,
    doc="""Products of all pairs of inputs, row by row of the batch; those at the indices. With n inputs, index
i * n + j is the product of inputs i and j, counted from 0.""",
    in_doc=["indices: int32 or int64", "X0, X1, ...: batch x elements"],
    out_doc=["Y: batch x the indices' dims"],
)
