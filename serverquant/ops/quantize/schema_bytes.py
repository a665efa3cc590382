"""Schema of ByteWeightDequant."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ShapeError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg


def dequant_shape(op: Any, ins: list[Spec]) -> list[tuple[int, ...]]:
    if any(d < 1 for d in op.args.shape):
        raise ShapeError(f"argument shape is {op.args.shape}; its dims must be at least 1")
    return [tuple(op.args.shape)]


declare(
    "ByteWeightDequant",
    inputs=1,
    args=[
        Arg("shape", "ints", [], "shape of the output"),
        Arg("min", "float", -3.0, "what byte 0 stands for"),
        Arg("max", "float", 3.0, "what byte 255 stands for"),
    ],
    shape=dequant_shape,
    doc="Bytes as floats: byte * (max - min) / 255 + min.",
    in_doc=("weights: uint8, or a string of bytes",),
    out_doc=("Y: float",),
)
