"""Rows of few bits, rounded at random: for what is sent or stored. Python bodies: no net runs them often."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

HEADER = 10  # bytes: bits, unused values, min, max
EPSILON = 1e-8


@register("FloatToFusedRandRowwiseQuantized")
class QuantizeRowsRandomly(PythonOperator):
    """q = floor((x - min) / gap + u), u uniform in [0, 1) or, with random=0, rounding to nearest even."""

    takes = "float"

    def setup(self) -> None:
        self.random = np.random.default_rng()
        self.effects = bool(self.args.random)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x, y, bits = inputs[0], outputs[0], self.args.bitwidth
        rows, columns = x.shape
        if not columns:
            raise ShapeError("rows without values have no range")
        each, width = 8 // bits, y.shape[1] - HEADER
        lo, hi = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
        gap = (hi - lo) / np.float32((1 << bits) - 1)
        t = (x - lo) * (1 / (gap.astype(np.float64) + EPSILON)).astype(np.float32)
        q = np.floor(t + self.random.random(x.shape, np.float32)) if self.args.random else np.rint(t)
        values = np.zeros((rows, each * width), np.uint8)
        values[:, :columns] = np.clip(q, 0, (1 << bits) - 1)
        y[:, 0], y[:, 1] = bits, each * width - columns
        y[:, 2:HEADER] = np.concatenate([lo, hi], axis=1).astype("<f4").view(np.uint8)
        shifts = (np.arange(each, dtype=np.uint8) * bits)[:, None]
        y[:, HEADER:] = np.bitwise_or.reduce(values.reshape(rows, each, width) << shifts, axis=1)


@register("FusedRandRowwiseQuantizedToFloat")
class DequantizeRandomRows(PythonOperator):
    """Y = q * gap + min, gap = (max - min) / (2^bits - 1) + 1e-8."""

    takes = "uint8"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0]
        if x.ndim != 2 or not x.shape[0] or x.shape[1] < HEADER:
            raise ShapeError(f"the input must be rows of at least {HEADER} bytes, not of shape {x.shape}")
        bits, tail = int(x[0, 0]), int(x[0, 1])
        if bits not in (1, 2, 4, 8):
            raise ShapeError(f"the first row says {bits} bits a value; it must be 1, 2, 4 or 8")
        each, width = 8 // bits, x.shape[1] - HEADER
        columns = each * width - tail
        if columns < 0:
            raise ShapeError(f"the first row says that {tail} of its {each * width} values are unused")
        lo, hi = (np.ascontiguousarray(x[:, i : i + 4]).view("<f4") for i in (2, 6))
        gap = ((hi - lo) / np.float32((1 << bits) - 1) + EPSILON).astype(np.float32)
        shifts = (np.arange(each, dtype=np.uint8) * bits)[:, None]
        values = (x[:, None, HEADER:] >> shifts) & ((1 << bits) - 1)
        outputs[0] = values.reshape(len(x), -1)[:, :columns].astype(np.float32) * gap + lo
