"""Two nets on the same data, blob by blob: how much the second one is off, and how much of that its operators make.

What a blob is off by, *accumulated*, has the errors of all operators before it in it. An operator *alone* is run on the
values that the first net has (`alone.py`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serverquant._base.errors import NetError, ServerquantError
from serverquant.predictor import Predictor
from serverquant.qparams import QParams, dequantize
from serverquant.quantization.alone import Alone, as_fed
from serverquant.quantization.data import BATCH, batches

TO_NHWC = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
CHUNK = 1 << 13  # values that are summed at a time: they stay in the cache, and BLAS starts no threads for them


@dataclass
class Difference:
    """Of a blob over all samples. Sums are float64; what is made of values that are not finite is NaN, or infinite.

    sqnr: 10 log10(sum a^2 / sum (a - b)^2), infinite where equal. relative: sqrt(sum (a - b)^2 / sum a^2), the "l2
    relative error" that Caffe2 reports for an operator with the argument measure_quantization_error. cosine: of the
    angle between a and b. largest: of |a - b|. agree, rows: in how many of the rows of a two-dimensional blob the
    largest value stands at the same place. alone: the same of the operator that writes it, run on the values of a;
    None where that cannot be (`Alone`).
    """

    blob: str
    other: str
    largest: float = 0.0
    agree: int = 0
    rows: int = 0
    alone: Difference | None = None
    _sums: np.ndarray = field(default_factory=lambda: np.zeros(4))

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        flat = np.ascontiguousarray(a).reshape(-1), np.ascontiguousarray(b).reshape(-1)
        for begin in range(0, flat[0].size, CHUNK):
            x, y = (np.float64(values[begin : begin + CHUNK]) for values in flat)
            with np.errstate(invalid="ignore"):  # infinities: the numbers become NaN
                off = x - y
                self._sums += x @ x, y @ y, x @ y, off @ off
            self.largest = float(np.maximum(self.largest, np.abs(off).max()))
        if a.ndim == 2 and a.shape[1] > 1:
            self.agree += int((a.argmax(axis=1) == b.argmax(axis=1)).sum())
            self.rows += len(a)

    @property
    def sqnr(self) -> float:
        signal, _, _, noise = self._sums.tolist()
        if noise == 0:
            return math.inf
        ratio = signal / noise
        return 10 * math.log10(ratio) if ratio else -math.inf

    @property
    def relative(self) -> float:
        signal, _, _, noise = self._sums.tolist()
        if noise == 0:
            return 0.0
        return math.sqrt(noise / signal) if signal else math.inf

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

    def numbers(self) -> dict[str, Any]:
        """All of it as JSON values; null for what is not finite or not there."""
        found: dict[str, Any] = {
            "sqnr": _finite(self.sqnr),
            "relative": _finite(self.relative),
            "cosine": _finite(self.cosine),
            "largest": _finite(self.largest),
            "top1": self.top1,
            "interval": list(ends) if (ends := self.interval()) else None,
            "rows": self.rows,
        }
        return found if self.alone is None else {**found, "alone": self.alone.numbers()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def compare(
    a: Sequence[Any], b: Sequence[Any], data: Any, *, batch: int = BATCH, progress: Callable[[], None] | None = None
) -> list[Difference]:
    """Differences of the blobs that both nets have, in the order of the first.

    a, b: (init, predict), sources of NetDefs with the same inputs. data: as for calibration. progress: called after
    every batch. A blob `x` of a is compared with b's `x`, or with its int8 form `x_int8`, whose values are dequantized,
    and turned from NHWC to NCHW where the shapes say so. What is no float tensor in a is passed over. NetError when
    nothing can be compared.

    Alone, an operator of b reads a's values, quantized with the parameters that b's blobs have, if they are Int8.
    """
    with Predictor(*a, keep_blobs=True) as first, Predictor(*b, keep_blobs=True) as second:
        pairs = dict(_pairs(first, second))
        if not pairs:
            raise NetError(f'nets "{first.name}" and "{second.name}" have no blob in common')
        with contextlib.closing(_Both(first, second, pairs, b)) as both:
            for feeds in batches(data, first.inputs, batch):
                both.run(feeds)
                if progress is not None:
                    progress()
        return [both.found[name] for name in pairs if name in both.found]


class _Both:
    """Two nets that run on the same feeds, and what was found so far, by blob of the first."""

    def __init__(self, first: Predictor, second: Predictor, pairs: dict[str, str], sources: Sequence[Any]):
        self.first, self.second, self.pairs, self.sources = first, second, pairs, sources
        mine, theirs = set(_blobs(first)), _written(second)
        self.known = {name: name for name in theirs if name in mine} | {o: name for name, o in pairs.items()}
        self.found: dict[str, Difference] = {}
        self.alone: Alone | None = None

    def run(self, feeds: dict[str, Any]) -> None:
        self.first(feeds)
        self.second(feeds)
        fed: dict[str, Any] = {}  # what operators alone read; nothing else of a blob is kept
        for other, name in self.known.items():
            raw = _value(self.second, other)
            y = _dequantized(raw)
            x = _like(_value(self.first, name), y)
            if x is None:
                continue
            if self.pairs.get(name) == other:
                self.found.setdefault(name, Difference(name, other)).add(x, y)
            if self.alone is None or other in self.alone.inputs:
                fed[other] = as_fed(x, raw)
        self._run_alone(feeds, fed)

    def _run_alone(self, feeds: dict[str, Any], fed: dict[str, Any]) -> None:
        if self.alone is None:  # only now is it known which blobs are two forms of one
            init, predict = self.sources
            self.alone = Alone(init, predict, fed)
        if not self.alone.run({**feeds, **fed}):
            return
        for name, other in self.pairs.items():
            if other in self.alone.made:
                whole, y = self.found[name], _dequantized(self.alone.fetch(other))
                x = _like(_value(self.first, name), y)
                if x is not None:
                    whole.alone = whole.alone or Difference(name, other)
                    whole.alone.add(x, y)

    def close(self) -> None:
        if self.alone is not None:
            self.alone.close()


def _blobs(net: Predictor) -> list[str]:
    return list(dict.fromkeys([*net.inputs, *(name for op in net.proto.op for name in op.output)]))


def _written(net: Predictor) -> set[str]:
    return {name for op in net.proto.op for name in op.output}


def _pairs(first: Predictor, second: Predictor) -> Iterable[tuple[str, str]]:
    theirs = _written(second)
    for name in _blobs(first):
        for other in (f"{name}_int8", name):
            if other in theirs:
                yield name, other
                break


def _value(net: Predictor, name: str) -> Any:
    """Of a tensor; None of what an operator left empty, and of what is no tensor."""
    try:
        value = net.fetch(name)
    except ServerquantError:
        return None
    return value if isinstance(value, np.ndarray) or _is_int8(value) else None


def _is_int8(value: Any) -> bool:
    return hasattr(value, "zero_point") and value.data.dtype in (np.uint8, np.uint16)


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _dequantized(value: Any) -> Any:
    return dequantize(value.data, QParams(value.scale, value.zero_point)) if _is_int8(value) else value


def _like(x: Any, y: Any) -> np.ndarray | None:
    """x in the layout of y; None unless they are two forms of one float blob."""
    if not (_is_float(x) and _is_float(y)) or x.ndim != y.ndim:
        return None
    order = TO_NHWC.get(x.ndim)
    if order is not None and y.shape == tuple(x.shape[i] for i in order):
        turned = np.ascontiguousarray(x.transpose(order))
        # equal extents leave it open; the nearer one is meant
        if y.shape != x.shape or np.abs(turned - y).sum() <= np.abs(x - y).sum():
            return turned
    return x if x.shape == y.shape else None
