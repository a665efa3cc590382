"""Quantization parameters, and ways of choosing them, as values of blobs: inputs of operators that would else have them
as arguments."""

from __future__ import annotations

from typing import NamedTuple


class QuantParams(NamedTuple):
    """Scale and zero point of an Int8 tensor that is to be made."""

    scale: float
    zero_point: int

    # As Caffe2 tells the shape of such a blob.
    @property
    def dims(self) -> tuple[int, ...]:
        return (1,)


class QuantScheme(NamedTuple):
    """How to choose parameters: a kind (MIN_MAX_QUANTIZATION, ...), and whether 0 gets the middle zero point."""

    kind: str
    preserve_sparsity: bool

    @property
    def dims(self) -> tuple[int, ...]:
        return (1,)
