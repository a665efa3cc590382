"""Two nets on the same data, blob by blob: how much the second one is off."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serverquant._base.errors import NetError, ServerquantError
from serverquant.predictor import Predictor
from serverquant.quantization.data import BATCH, batches

TO_NHWC = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


@dataclass
class Difference:
    """Of a blob over all samples. Sums are float64.

    sqnr: 10 log10(sum a^2 / sum (a - b)^2), infinite where equal. cosine: of the angle between a and b. largest: of
    |a - b|. agree, rows: in how many of the rows of a two-dimensional blob the largest value stands at the same place.
    """

    blob: str
    other: str
    largest: float = 0.0
    agree: int = 0
    rows: int = 0
    _sums: np.ndarray = field(default_factory=lambda: np.zeros(4))

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        x, y = np.float64(a), np.float64(b)
        self._sums += (x * x).sum(), (y * y).sum(), (x * y).sum(), ((x - y) ** 2).sum()
        self.largest = max(self.largest, float(np.abs(x - y).max(initial=0.0)))
        if x.ndim == 2 and x.shape[1] > 1:
            self.agree += int((x.argmax(axis=1) == y.argmax(axis=1)).sum())
            self.rows += len(x)

    @property
    def sqnr(self) -> float:
        signal, _, _, noise = self._sums.tolist()
        if noise == 0:
            return math.inf
        return 10 * math.log10(signal / noise) if signal else -math.inf

    @property
    def cosine(self) -> float:
        a, b, product, _ = self._sums.tolist()
        return product / math.sqrt(a * b) if a and b else float(a == b)

    @property
    def top1(self) -> float | None:
        """Share of the rows that agree; None of a blob that has no rows."""
        return self.agree / self.rows if self.rows else None

    def interval(self) -> tuple[float, float] | None:
        """95 % of top1, after Wilson."""
        if not self.rows:
            return None
        z, n, p = 1.959964, self.rows, self.agree / self.rows
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(middle - half, 0.0), min(middle + half, 1.0)


def compare(a: Sequence[Any], b: Sequence[Any], data: Any, *, batch: int = BATCH) -> list[Difference]:
    """Differences of the blobs that both nets have, in the order of the first.

    a, b: (init, predict), sources of NetDefs with the same inputs. data: as for calibration. A blob `x` of a is
    compared with b's `x`, or with its int8 form `x_int8`, whose values are dequantized, and turned from NHWC to NCHW
    where the shapes say so. What is no float tensor in a is passed over. NetError when nothing can be compared.
    """
    with Predictor(*a, keep_blobs=True) as first, Predictor(*b, keep_blobs=True) as second:
        pairs = list(_pairs(first, second))
        found = {name: Difference(name, other) for name, other in pairs}
        if not found:
            raise NetError(f'nets "{first.name}" and "{second.name}" have no blob in common')
        seen: set[str] = set()
        for feeds in batches(data, first.inputs, batch):
            first(feeds)
            second(feeds)
            for name, difference in found.items():
                x, y = _floats(first, name), _floats(second, difference.other)
                if x is not None and y is not None and (y := _like(x, y)) is not None:
                    difference.add(x, y)
                    seen.add(name)
    return [difference for name, difference in found.items() if name in seen]


def _pairs(first: Predictor, second: Predictor) -> Iterable[tuple[str, str]]:
    theirs = {name for op in second.proto.op for name in op.output}
    for name in dict.fromkeys(name for op in first.proto.op for name in op.output):
        for other in (f"{name}_int8", name):
            if other in theirs:
                yield name, other
                break


def _floats(net: Predictor, name: str) -> np.ndarray | None:
    try:
        value = net.fetch(name)
    except ServerquantError:
        return None
    if hasattr(value, "zero_point"):
        return np.float32(value.scale) * (value.data.astype(np.int64) - value.zero_point).astype(np.float32)
    return value if isinstance(value, np.ndarray) and value.dtype.kind == "f" else None


def _like(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """y in the layout of x."""
    order = TO_NHWC.get(x.ndim)
    if order is not None and y.shape == tuple(x.shape[i] for i in order):
        turned = y.transpose(np.argsort(order))
        # equal extents leave it open; the nearer one is meant
        if y.shape != x.shape or np.abs(x - turned).sum() <= np.abs(x - y).sum():
            return turned
    return y if y.shape == x.shape else None
