"""Moments, and norms of whole tensors or along a dim: numpy bodies, sums taken as doubles."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.ops._window import read_order
from serverquant.ops.norm.schema import channel_axis
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


@register("BatchMoments", "ChannelStats")
class ChannelMoments(PythonOperator):
    """Sums of every channel and of its squares; BatchMoments: divided by the number of elements."""

    takes = "float"

    def setup(self) -> None:
        self.nhwc = read_order(self)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0].astype(np.float64)
        channels = channel_axis(self, x.ndim)
        axes = tuple(i for i in range(x.ndim) if i != channels)
        count = x.size // x.shape[channels] if self.type == "BatchMoments" else 1
        with np.errstate(invalid="ignore"):
            outputs[0][...] = x.sum(axes) / count if count else np.nan
            outputs[1][...] = np.square(x).sum(axes) / count if count else np.nan


@register("Moments")
class Moments(PythonOperator):
    """Mean and variance."""

    takes = "float"

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Dims to reduce."""
        axes = self.args.axes or range(ndim)
        if not all(0 <= a < ndim for a in axes):
            raise ArgumentError(f"axes {list(axes)} must be in 0..{ndim - 1}")
        return tuple(sorted(set(axes)))

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x, axes = inputs[0].astype(np.float64), self.axes(inputs[0].ndim)
        count = int(np.prod([x.shape[a] for a in axes]))
        with np.errstate(all="ignore"):
            mean = x.sum(axes, keepdims=True) / np.float64(count)
            variance = np.square(x - mean).sum(axes, keepdims=True) / np.float64(count)
            outputs[0][...], outputs[1][...] = mean.reshape(outputs[0].shape), variance.reshape(outputs[1].shape)


@register("Normalize", "NormalizeL1")
class Normalize(PythonOperator):
    """Y = X / norm."""

    takes = "float"
    LEAST = np.float32(1e-12)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0]
        axis = axis_of(self.args.axis, x.ndim)
        with np.errstate(all="ignore"):
            if self.type == "Normalize":
                squares = np.square(x, dtype=np.float64).sum(axis, keepdims=True)
                norm = np.maximum(np.sqrt(squares).astype(np.float32), self.LEAST)
            else:
                norm = np.abs(x).sum(axis, keepdims=True, dtype=np.float64).astype(np.float32)
                norm[norm == 0] = 1
            np.divide(x, norm, out=outputs[0])


@register("LpNorm")
class LpNorm(PythonOperator):
    """Sum of |X|^p."""

    takes = "float"

    def setup(self) -> None:
        if self.args.p not in (1, 2):
            raise ArgumentError(f"argument p must be 1 or 2, not {self.args.p}")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0]
        powers = np.abs(x) if self.args.p == 1 else np.square(x, dtype=np.float64)
        total = powers.sum(dtype=np.float64)
        outputs[0][0] = total / x.size if self.args.average and x.size else total
