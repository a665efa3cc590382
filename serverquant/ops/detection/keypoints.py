"""HeatmapMaxKeypoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant.ops.detection.boxes import exp
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

FAR = np.float32(1.5)  # a summit lies no further from the largest pixel


@register("HeatmapMaxKeypoint")
class HeatmapMaxKeypoint(PythonOperator):
    """The summit of each heat map, in the coordinates of the image."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        maps, boxes = inputs
        rois, count, size, _ = maps.shape
        flat = maps.reshape(rois, count, size * size)
        at = flat.argmax(2)
        y, x = at // size, at % size
        around = _neighbours(maps, y, x)
        shift, value = summit(around)
        begin, extent = boxes[:, None, :2], np.maximum(boxes[:, None, 2:4] - boxes[:, None, :2], np.float32(1))
        place = (0.5 + np.stack([x, y], 2) + shift) * extent / size
        out = outputs[0]
        out[:, :2] = (begin + place).transpose(0, 2, 1)
        out[:, 2] = value
        out[:, 3] = self._probability(flat, at) if self.args.should_output_softmax else 0

    def _probability(self, flat: np.ndarray, at: np.ndarray) -> np.ndarray:
        raised = exp(flat)
        return np.take_along_axis(raised, at[..., None], 2)[..., 0] / raised.sum(2, dtype=np.float64)


def _neighbours(maps: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(..., 3, 3) pixels around (y, x), mirrored at the borders."""
    size = maps.shape[2]
    step = np.arange(-1, 2)
    rows, columns = y[..., None] + step, x[..., None] + step
    rows, columns = (np.where(v < 0, v + 2, np.where(v >= size, v - 2, v)) for v in (rows, columns))
    i, k = np.ogrid[: maps.shape[0], : maps.shape[1]]
    return np.asarray(maps[i[..., None, None], k[..., None, None], rows[..., :, None], columns[..., None, :]])


def summit(f: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the quadratic through 3 x 3 pixels f has its summit, (..., 2) from the middle, and its value there."""
    two, four = np.float32(2), np.float32(4)
    b0, b1 = -(f[..., 1, 2] - f[..., 1, 0]) / two, -(f[..., 2, 1] - f[..., 0, 1]) / two
    a00 = f[..., 1, 0] - two * f[..., 1, 1] + f[..., 1, 2]
    a11 = f[..., 0, 1] - two * f[..., 1, 1] + f[..., 2, 1]
    a01 = (f[..., 2, 2] - f[..., 2, 0] - f[..., 0, 2] + f[..., 0, 0]) / four
    flat = np.abs(a00 * a11 - a01 * a01) < np.float32(1e-4)
    shift = np.where(flat[..., None], np.float32(0), _solve(a00, a01, a11, b0, b1))
    largest = np.abs(shift).max(-1, keepdims=True)
    shift = np.where(largest > FAR, shift / np.maximum(largest, np.float32(1)) * FAR, shift)
    d0, d1 = shift[..., 0], shift[..., 1]
    bend = (d0 * a00 + d1 * a01) * d0 + (d0 * a01 + d1 * a11) * d1
    value = f[..., 1, 1] - (b0 * d0 + b1 * d1) + np.float32(0.5) * bend
    return shift, np.where(flat, f[..., 1, 1], value)


def _solve(a00: np.ndarray, a01: np.ndarray, a11: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """(..., 2) solutions of symmetric 2 x 2 systems, by LDL' with the larger diagonal element first."""
    swap = np.abs(a11) > np.abs(a00)
    d0, d1 = np.where(swap, a11, a00), np.where(swap, a00, a11)
    c0, c1 = np.where(swap, b1, b0), np.where(swap, b0, b1)
    with np.errstate(all="ignore"):  # where the system is singular nobody looks at the answer
        low = a01 / d0
        x1 = (c1 - low * c0) / (d1 - low * a01)
        x0 = c0 / d0 - low * x1
    return np.where(swap[..., None], np.stack([x1, x0], -1), np.stack([x0, x1], -1))
