"""Which input pixel each output pixel is: index arrays along one side of an image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from serverquant._base.errors import ShapeError


class Side(NamedTuple):
    """Two neighbours for every output, and the second one's weight."""

    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray


def whole(size: int) -> np.ndarray:
    return np.arange(size, dtype=np.int32)


def nearest(size: int, count: int, scale: float) -> np.ndarray:
    """Output i is input i / scale, rounded down."""
    at = np.arange(count, dtype=np.float32) / np.float32(scale)
    return np.minimum(at.astype(np.int64), size - 1).astype(np.int32)


def linear(size: int, count: int) -> Side:
    """The first output is the first input, the last one the last."""
    step = np.float32(size - 1) / np.float32(count - 1) if count > 1 else np.float32(0)
    at = step * np.arange(count, dtype=np.float32)
    first = at.astype(np.int32)
    second = np.where(first < size - 1, first + 1, first).astype(np.int32)
    return Side(first, second, at - first.astype(np.float32))


def padded(size: int, head: int, tail: int, mode: str) -> np.ndarray:
    """Inputs with `head` and `tail` more in front and behind (fewer, if below 0); -1 outside for mode constant."""
    at = np.arange(-head, size + tail)
    if mode == "constant":
        at = np.where((at < 0) | (at >= size), -1, at)
    elif mode == "edge":
        at = np.clip(at, 0, size - 1)
    else:
        at = np.minimum(np.abs(at), 2 * (size - 1) - np.abs(at))
    if mode != "constant" and (size == 0 or at.min() < 0):
        raise ShapeError(f"{size} pixels cannot be padded by {head} and {tail} in mode {mode}")
    return at.astype(np.int32)
