"""Schemas of the operators that collect tensors over time or in one block."""

from __future__ import annotations

from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg

declare(
    "Append",
    inputs=2,
    inplace=[(0, 0)],
    effects=True,
    doc="Adds the slices of B behind those of A, in place.",
    in_doc=("A: tensor, at least 1-D", "B: tensor that differs in the first dim at most"),
    out_doc=("A: the blob of input 0",),
)
declare(
    "Accumulate",
    inputs=1,
    args=[Arg("gamma", "float", 1.0, "factor of what is there already")],
    effects=True,
    doc="Y = X + gamma * Y. A Y that is not there yet, or has another shape, counts as 0.",
    in_doc=("input: float",),
    out_doc=("output: float, keeps the sum from run to run",),
)
declare(
    "UnsafeCoalesce",
    inputs=(1, MANY),
    outputs=(2, MANY),
    inplace="any",
    doc="All elements of the inputs in one vector. In Caffe2 the other outputs are views of it, here they are copies.",
    in_doc=("X1, X2, ...: float",),
    out_doc=("Y1, Y2, ...: the inputs", "coalesced: float, 1-D, the last output"),
)
