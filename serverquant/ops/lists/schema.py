"""Schemas of the operators on lists of tensors."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg


def scalar_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    return [()]


declare(
    "CreateTensorVector",
    inputs=0,
    effects=True,
    doc="An empty list of tensors.",
    out_doc=("tensor vector: the list",),
)
declare(
    "TensorVectorSize",
    inputs=1,
    shape=scalar_shape,
    effects=True,
    doc="The number of tensors in a list.",
    in_doc=("tensor vector: the list",),
    out_doc=("size: int32, no dims",),
)
declare(
    "ConcatTensorVector",
    inputs=1,
    effects=True,
    doc="Joins the tensors of a list along their first dim.",
    in_doc=("vector of Tensor: the list",),
    out_doc=("tensor",),
)
declare(
    "CollectTensor",
    inputs=(2, MANY),
    outputs=(1, MANY),
    inplace="any",
    args=[Arg("num_to_collect", "int", -1, "how many tensors stay, chosen at random from all that came; needed")],
    effects=True,
    doc="Adds tensors to lists, in place: input i goes into list i. Once a list is full, a random choice stays.",
    in_doc=("tensor vector, ..., tensor, ...: as many lists as tensors, lists first",),
    out_doc=("tensor vector, ...: the blobs of the lists",),
)
