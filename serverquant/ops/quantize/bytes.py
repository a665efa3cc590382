"""ByteWeightDequant: a numpy body."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ShapeError
from serverquant.blobs import dtypes
from serverquant.ops._arrays import Arrays
from serverquant.runtime.registry import register


@register("ByteWeightDequant")
class ByteWeightDequant(Arrays):
    """Bytes as floats."""

    accepts = (("uint8", "string"),)
    types = (dtypes.FLOAT,)

    def compute(self, *inputs: Any) -> Any:
        found, dims = inputs[0].ravel(), tuple(self.args.shape)
        if found.dtype == object:
            found = np.frombuffer(found[0] if len(found) else b"", np.uint8)
        if len(found) < math.prod(dims):
            raise ShapeError(f"{len(found)} bytes are too few for shape {dims}")
        low, high = np.float32(self.args.min), np.float32(self.args.max)
        step = np.float32(np.float64(high - low) / 255)
        return (found[: math.prod(dims)].astype(np.float32) * step + low).reshape(dims)
