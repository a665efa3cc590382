"""Lists of tensors in blobs: Python bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT, TENSOR, Spec
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


class TensorVector:
    """A list of tensors."""

    dims: tuple[int, ...] = ()

    def __init__(self, tensors: list[np.ndarray]):
        self.tensors = tensors

    def __repr__(self) -> str:
        return f"TensorVector({len(self.tensors)} tensors)"


class OfLists(Operator):
    """Works on blobs, some of which hold objects: `call(inputs, outputs)` does it."""

    dtype = dtypes.INT32

    def check_types(self, ins: list[Spec]) -> None:
        """Objects are looked at when they are used."""

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return self.dtype, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        raise NotImplementedError

    def tensors(self, blob: Blob, i: int) -> list[np.ndarray]:
        """The list in input i; DTypeError unless there is one."""
        value: Any = blob.value if blob.kind == OBJECT else None
        if not isinstance(value, TensorVector):
            raise DTypeError(f'input {i} "{self.inputs[i]}" holds {blob!r}, not a list of tensors')
        return value.tensors


@register("CreateTensorVector")
class CreateTensorVector(OfLists):
    """An empty list."""

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        outputs[0].feed_object(TensorVector([]))


@register("TensorVectorSize")
class TensorVectorSize(OfLists):
    """The length of a list."""

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        outputs[0].feed(np.array(len(self.tensors(inputs[0], 0)), np.int32))


@register("ConcatTensorVector")
class ConcatTensorVector(OfLists):
    """A list joined."""

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        tensors = self.tensors(inputs[0], 0)
        if not tensors:
            raise ShapeError("the list is empty: nothing says what the joined tensor is")
        first = tensors[0]
        for i, tensor in enumerate(tensors):
            if not tensor.ndim or tensor.shape[1:] != first.shape[1:] or tensor.dtype != first.dtype:
                raise ShapeError(f"tensor {i} of the list has shape {tensor.shape} of {tensor.dtype}; "
                                 f"the first one has {first.shape} of {first.dtype}")  # fmt: skip
        outputs[0].feed(np.concatenate(tensors))


@register("CollectTensor")
class CollectTensor(OfLists):
    """Tensors into lists; a random choice of them stays."""

    def setup(self) -> None:
        lists = len(self.outputs)
        if len(self.inputs) != 2 * lists or self.inputs[:lists] != self.outputs:
            raise ArgumentError("takes as many lists as tensors, lists first, and writes the lists in place")
        if self.args.num_to_collect < 1:
            raise ArgumentError(f"argument num_to_collect is {self.args.num_to_collect}; it must be at least 1")
        self.seen = 0

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        lists = [self.tensors(blob, i) for i, blob in enumerate(inputs[: len(outputs)])]
        most, place = self.args.num_to_collect, self.seen
        if self.seen >= most:
            place = int(np.random.randint(self.seen + 1))
        for found, blob in zip(lists, inputs[len(outputs) :]):
            if place < len(found):
                found[place] = blob.fetch()
            elif place < most:
                found.append(blob.fetch())
        self.seen += 1
