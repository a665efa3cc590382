"""Distances and products of rows: numpy bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant.ops._numeric import sum_rows
from serverquant.ops.loss.float import as_rows
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class Distance(PythonOperator):
    """A number for each pair of rows."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if outputs[0].size:
            outputs[0][...] = self.measure(as_rows(inputs[0]), as_rows(inputs[1]))

    def measure(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@register("L1Distance")
class L1Distance(Distance):
    """Sum of |X - Y|."""

    def measure(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return sum_rows(np.abs(x - y))


@register("SquaredL2Distance")
class SquaredL2Distance(Distance):
    """Half the sum of (X - Y)^2."""

    def measure(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        difference = x - y
        return sum_rows(difference * difference) * np.float32(0.5)


@register("DotProduct")
class DotProduct(Distance):
    """Sum of X * Y."""

    def measure(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return sum_rows(x * y)


@register("CosineSimilarity")
class CosineSimilarity(Distance):
    """The product over the norms."""

    def measure(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        least = np.float32(1e-12)
        norms = np.sqrt(np.maximum(sum_rows(x * x), least)) * np.sqrt(np.maximum(sum_rows(y * y), least))
        return sum_rows(x * y) / norms


@register("DotProductWithPadding")
class DotProductWithPadding(Distance):
    """Sum of X * Y, the shorter rows filled up."""

    def measure(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        long, short = (x, y) if x.shape[1] >= y.shape[1] else (y, x)
        if self.args.replicate:
            repeats = -(-long.shape[1] // max(short.shape[1], 1))
            filled = np.tile(short, (1, repeats))[:, : long.shape[1]]
        else:
            filled = np.full(long.shape, self.args.pad_value, np.float32)
            filled[:, : short.shape[1]] = short
        return sum_rows(long * filled)
