"""Arithmetic of boxes, in single precision.

A box is x1, y1, x2, y2, or rotated center x, center y, width, height, angle in degrees.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.kernels.unary import _unary

LOG_SIZE_MAX = np.float32(math.log(1000 / 16))  # a box grows to at most so much, in logarithms


def exp(x: np.ndarray) -> np.ndarray:
    """The library's own exponential: the same bits on every machine."""
    return _unary.py_map("exp_f32", np.asarray(x, np.float32))


def best(scores: np.ndarray, n: int) -> np.ndarray:
    """Indices of the n highest scores (n <= 0: of all), best first; of equal ones the first."""
    keys = -scores
    chosen = np.arange(keys.size)
    if 0 < n < keys.size:
        limit = np.partition(keys, n - 1)[n - 1]
        if not np.isnan(limit):
            chosen = np.flatnonzero(keys <= limit)
    order = chosen[np.argsort(keys[chosen], kind="stable")]
    return (order[:n] if n > 0 else order).astype(np.int32)


class BoxArguments:
    """What BBoxTransform and GenerateProposals share."""

    def __init__(self, args: Any):
        self.plus_one = int(args.legacy_plus_one)
        self.bound = args.angle_bound_on
        self.low, self.high = args.angle_bound_lo, args.angle_bound_hi
        self.clip_angle = np.float32(args.clip_angle_thresh)

    def check_angles(self) -> None:
        """Rotated boxes: ArgumentError unless the bounds are half turns apart."""
        if self.bound and (self.high <= self.low or (self.high - self.low) % 180):
            raise ArgumentError(
                f"angle_bound_lo {self.low} and angle_bound_hi {self.high} must be a positive multiple of 180 apart"
            )

    def transform(self, boxes: np.ndarray, deltas: np.ndarray, weights: list[float]) -> np.ndarray:
        """Boxes (..., 4 or 5) moved and stretched by deltas, which may have more dimensions."""
        if boxes.shape[-1] == 5:
            return self._transform_rotated(boxes, deltas, weights)
        size = boxes[..., 2:] - boxes[..., :2] + np.float32(self.plus_one)
        center, size = _move(boxes[..., :2] + np.float32(0.5) * size, size, deltas, weights)
        half = np.float32(0.5) * size
        return np.concatenate([center - half, center + half - np.float32(self.plus_one)], -1)

    def _transform_rotated(self, boxes: np.ndarray, deltas: np.ndarray, weights: list[float]) -> np.ndarray:
        center, size = _move(boxes[..., :2], boxes[..., 2:4], deltas, weights)
        angle = deltas[..., 4:] * np.float32(180) / np.float32(math.pi) + boxes[..., 4:]
        if self.bound:
            self.check_angles()
            turn = np.float32(self.high - self.low)
            angle = np.where(angle < self.low, angle + turn, np.where(angle > self.high, angle - turn, angle))
        return np.concatenate([center, size, angle], -1)

    def clip(self, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
        """Boxes (..., 4 or 5) cut to the image; rotated ones only if they are as good as upright."""
        if boxes.shape[-1] == 4:
            limit = np.array([width, height, width, height], np.float32) - np.float32(self.plus_one)
            return np.maximum(np.minimum(boxes, limit), np.float32(0))
        upright = np.abs(boxes[..., 4]) <= self.clip_angle
        center, size = boxes[upright, :2], boxes[upright, 2:4]
        half = (size - np.float32(self.plus_one)) / np.float32(2)
        cut = self.clip(np.concatenate([center - half, center + half], 1), height, width)
        out = boxes.copy()
        out[upright, :2] = (cut[:, :2] + cut[:, 2:]) / np.float32(2)
        out[upright, 2:4] = cut[:, 2:] - cut[:, :2] + np.float32(self.plus_one)
        return out

    def large_and_inside(self, boxes: np.ndarray, least: float, info: np.ndarray) -> np.ndarray:
        """Rows of boxes with both sides at least `least` (in the unscaled image) and their center left of and above the
        image's far corner."""
        if boxes.shape[1] == 5:
            center, size = boxes[:, :2], boxes[:, 2:4]
        else:
            size = boxes[:, 2:] - boxes[:, :2] + np.float32(self.plus_one)
            center = boxes[:, :2] + size / np.float32(2)
        large = (size >= np.float32(least * float(info[2]))).all(1)
        return np.flatnonzero(large & (center[:, 0] < info[1]) & (center[:, 1] < info[0])).astype(np.int32)


def _move(
    center: np.ndarray, size: np.ndarray, deltas: np.ndarray, weights: list[float]
) -> tuple[np.ndarray, np.ndarray]:
    scaled = deltas[..., :4] / np.array(weights, np.float32)
    return scaled[..., :2] * size + center, exp(np.minimum(scaled[..., 2:], LOG_SIZE_MAX)) * size
