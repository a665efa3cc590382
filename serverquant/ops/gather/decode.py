"""Codes to the values of a codebook: a numpy body."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.gather import schema  # noqa: F401
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


@register("QuantDecode")
class QuantDecode(PythonOperator):
    """Y = codebook[codes]."""

    takes = ("float", "uint8|uint16|int32")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.FLOAT, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        codebook = inputs[0].reshape(-1)
        for i, (codes, values) in enumerate(zip(inputs[1:], outputs), 1):
            bad = np.flatnonzero((codes < 0) | (codes >= codebook.size))
            if bad.size:
                raise ShapeError(
                    f'code {codes.flat[bad[0]]} at {bad[0]} of input {i} "{self.inputs[i]}" is out of range: the '
                    f"codebook has {codebook.size} values"
                )
            values[...] = codebook[codes]
