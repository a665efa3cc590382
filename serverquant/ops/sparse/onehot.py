"""One-hot codes: OneHot is native, the others are numpy bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops._arrays import INDEX, Arrays, check_indices, check_lengths
from serverquant.ops.sparse import _onehot
from serverquant.runtime._plan import Step
from serverquant.runtime.late import late_step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


@register("OneHot")
class OneHot(Operator):
    """1 at the index of each row."""

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "int64")
        self.expect(ins, 1, "int64")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return _onehot.one_hot_step()

    def plan_late(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return late_step(self)


@register("SegmentOneHot")
class SegmentOneHot(Arrays):
    """1 at the indices of each segment."""

    accepts = (("int32",), ("int64",), ("int64",))
    types = (dtypes.FLOAT,)

    def compute(self, *inputs: Any) -> Any:
        lengths, indices, size = inputs[0], inputs[1], int(inputs[2].ravel()[0])
        check_lengths(lengths, len(indices), "indices")
        check_indices(indices, size)
        codes = np.zeros((len(lengths), size), np.float32)
        codes[np.repeat(np.arange(len(lengths)), lengths), indices] = 1
        return codes


@register("BatchOneHot")
class BatchOneHot(Arrays):
    """1 where a column is one of its values."""

    accepts = (INDEX, ("int32",), INDEX)

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        self.expect(ins, 2, dtypes.name(ins[0].dtype))

    def compute(self, *inputs: Any) -> Any:
        data, lengths, values = inputs[0], inputs[1].ravel(), inputs[2].ravel()
        check_lengths(lengths, len(values), "values")
        columns = data.reshape(len(data), len(lengths))
        return (columns[:, np.repeat(np.arange(len(lengths)), lengths)] == values).astype(data.dtype)


@register("BatchBucketOneHot")
class BatchBucketOneHot(Arrays):
    """1 in a column's bucket."""

    accepts = (("float",), ("int32",), ("float",))
    types = (dtypes.FLOAT,)

    def compute(self, *inputs: Any) -> Any:
        data, lengths, boundaries = inputs[0], inputs[1].ravel(), inputs[2].ravel()
        check_lengths(lengths, len(boundaries), "boundaries")
        if lengths.min(initial=1) < 1:
            raise ShapeError("every column needs at least one boundary")
        columns = data.reshape(len(data), len(lengths))
        codes = np.zeros((len(data), len(boundaries) + len(lengths)), np.float32)
        ends = np.cumsum(lengths)
        for c, (end, length) in enumerate(zip(ends, lengths)):
            column = columns[:, c]
            edges = boundaries[end - length : end]
            # Of boundaries that are there twice, the middle one counts.
            middle = (np.searchsorted(edges, column) + np.searchsorted(edges, column, "right")) // 2
            bucket = np.where(np.isnan(column), length // 2, middle)  # it loses every comparison
            codes[np.arange(len(data)), end - length + c + bucket] = 1
        return codes
