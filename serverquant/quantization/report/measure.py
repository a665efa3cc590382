"""The numbers of a report: two nets run on the same data, and what their quantization has chosen.

A *row* stands for a value that both nets have: the float operators that compute it, fused ones included, against the
int8 operators, conversions included. It is named after the float blob.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from serverquant import __version__
from serverquant._base import _isa, _threads
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.predictor import Predictor
from serverquant.qparams import QParams
from serverquant.quantization.compare import Difference, compare
from serverquant.quantization.data import BATCH, Data, first
from serverquant.quantization.data import samples as samples_in
from serverquant.quantization.emit.forms import WIDE, named
from serverquant.quantization.histogram import AlignedHistogram
from serverquant.runtime.observe import Profile, observe

if TYPE_CHECKING:
    from serverquant.quantization.ptq import Result

FORMAT = "serverquant report"
VERSION = 2
BINS = 96  # of the histograms kept, at most
RUNS = (5, 50)  # least and most timed runs of each net
SECONDS = 1.0  # that they may take together
WORST = 5


def measure(
    result: Result, data: Any, samples: int, batch: int = BATCH, progress: Callable[[], None] | None = None
) -> dict[str, Any]:
    """The numbers, from at most so many samples; see docs/quantize.md for what they are. QuantizationError when there
    is no data."""
    if samples < 1:
        raise ArgumentError(f"a report needs 1 sample or more, not {samples}")
    with Predictor(*result.reference) as before, Predictor(result.init, result.predict) as after:
        kept = _Kept(first(data, before.inputs, batch, samples))
        found = {d.blob: d for d in compare(result.reference, (result.init, result.predict), kept, progress=progress)}
        if not kept.samples:
            raise QuantizationError("there is no data for a report: not one sample was given")
        rows = _Rows(before, after)
        one = Data(data, before.inputs).sample or kept.sample
        taken = _times(before, after, one)
        runs_in = rows.run_in(set(taken.of["after"]))
        operators = [_row(name, rows, found, taken, result.recipe, runs_in[name]) for name in rows.names]
        return {
            "format": FORMAT,
            "version": VERSION,
            "serverquant": __version__,
            "net": before.name,
            "settings": result.recipe["settings"],
            "calibration": result.recipe["calibration"],
            "machine": {"isa": _isa.current(), "threads": _threads.get_num_threads()},
            "samples": kept.samples,
            "summary": {
                "outputs": [{"blob": n, **found[n].numbers()} for n in before.outputs if n in found],
                "weight_bytes": {"before": before.nbytes, "after": after.nbytes},
                "file_bytes": {
                    "before": sum(net.ByteSize() for net in result.reference),
                    "after": result.init.ByteSize() + result.predict.ByteSize(),
                },
                "time_us": {**taken.nets, "samples": samples_in(one), "runs": taken.runs},
                "operators": {"int8": _int8_count(after), "all": len(after.proto.op)},
                "worst": worst(operators),
            },
            "float": result.recipe["float"],
            "operators": operators,
            "blobs": [_blob(name, entry, result) for name, entry in result.recipe["blobs"].items()],
            "weights": list(_weights(rows, before, after, result.recipe["weights"])),
            "graph": [
                {"type": op.type, "inputs": list(op.input), "outputs": list(op.output), "row": row}
                for op, row in zip(after.proto.op, rows.after)
            ],
        }


class _Kept:
    """Batches, counted as they go by; the first one is kept."""

    def __init__(self, parts: Iterator[dict[str, Any]]):
        self._parts = parts
        self.samples = 0
        self.sample: dict[str, Any] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for feeds in self._parts:
            self.sample = self.sample or feeds
            self.samples += samples_in(feeds)
            yield feeds


def _int8_count(net: Predictor) -> int:
    return sum(op.type.startswith("Int8") or op.engine == WIDE for op in net.proto.op)


def worst(operators: list[dict[str, Any]], most: int = WORST) -> list[str]:
    """The rows whose operators have the least SQNR alone; accumulated where that is not known."""

    def sqnr(row: dict[str, Any]) -> float | None:
        numbers = row["alone"] or row["accumulated"]
        return numbers["sqnr"] if numbers else None

    inexact = [row for row in operators if sqnr(row) is not None]
    return [row["blob"] for row in sorted(inexact, key=lambda row: sqnr(row) or 0.0)[:most]]


# ---- rows -----------------------------------------------------------------------------------------------------------


class _Rows:
    """names: of all rows, in the order of the float net. before, after: by operator index, the row that it is in. all:
    operators of the int8 net."""

    def __init__(self, before: Predictor, after: Predictor):
        made = {name for op in after.proto.op for name in op.output}
        mine = list(dict.fromkeys([*before.inputs, *(name for op in before.proto.op for name in op.output)]))
        self.int8 = {name: f"{name}_int8" for name in mine if f"{name}_int8" in made}
        known = {name: name for name in mine if name in made or name in self.int8}
        self.before = _rows_of(before.proto.op, known)
        self.all = list(after.proto.op)
        self.after = _rows_of(self.all, known | {int8: name for name, int8 in self.int8.items()})
        used = {*self.before, *self.after}
        self.names = [name for name in mine if name in used]
        self.names += [name for name in dict.fromkeys(self.after) if name not in self.names]
        self.ops = {
            "before": _by_row(before.proto.op, self.before),
            "after": _by_row(after.proto.op, self.after),
        }

    def run_in(self, timed: set[str]) -> dict[str, str | None]:
        """Of each row the one whose int8 operators do its work too, of which `timed` names the outputs; None of rows
        that do their own."""
        known = {name: row for op, row in zip(self.all, self.after) for name in op.output if name in timed}
        own = set(known.values())
        places = zip(self.after, _rows_of(self.all, known))
        return dict.fromkeys(self.names) | {row: place for row, place in places if row not in own and place in own}


def _rows_of(ops: Sequence[Any], known: Mapping[str, str]) -> list[str]:
    """Of each operator: what it writes, or else the row of the first that reads it."""
    found: list[str] = []
    reader: dict[str, str] = {}
    for op in reversed(ops):
        own = [known[name] for name in op.output if name in known]
        read = [reader[name] for name in op.output if name in reader]
        row = (own or read or list(op.output) or [op.type])[0]
        found.append(row)
        reader |= dict.fromkeys(op.input, row)
    return found[::-1]


def _by_row(ops: Sequence[Any], rows: Sequence[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for op, row in zip(ops, rows):
        found.setdefault(row, []).append(op)
    return found


def _row(
    name: str,
    rows: _Rows,
    found: Mapping[str, Difference],
    taken: _Times,
    recipe: Mapping[str, Any],
    runs_in: str | None,
) -> dict[str, Any]:
    numbers = found[name].numbers() if name in found else None
    alone = numbers.pop("alone", None) if numbers else None
    ops = {when: rows.ops[when].get(name, []) for when in ("before", "after")}
    inputs = {when: [n for op in ops[when] for n in op.input] for when in ops}
    outputs = {when: [n for op in ops[when] for n in op.output] for when in ops}
    return {
        "blob": name,
        "int8": rows.int8.get(name),
        "before": [op.type for op in ops["before"]],
        "after": [named(op.type, op.engine) for op in ops["after"]],
        "float": next((recipe["float"][n] for n in outputs["before"] if n in recipe["float"]), None),
        "accumulated": numbers,
        "alone": alone,
        "runs_in": runs_in,
        "time_us": {when: sum(taken.of[when].get(n, 0.0) for n in outputs[when]) for when in ops},
        "weight_bytes": {when: sum(taken.weights[when].get(n, 0) for n in inputs[when]) for when in ops},
        "output_bytes": {when: sum(taken.bytes[when].get(n, 0) for n in outputs[when]) for when in ops},
        "kernels": list(dict.fromkeys(taken.kernels[n] for n in outputs["after"] if taken.kernels.get(n))),
    }


# ---- time and size --------------------------------------------------------------------------------------------------


class _Times:
    """nets: median microseconds of a run. Of each net by what an operator writes (first): of, median microseconds;
    bytes, of that output; kernels of the int8 net. weights: bytes by name."""

    def __init__(self) -> None:
        self.nets: dict[str, float] = {}
        self.runs = 0
        self.of: dict[str, dict[str, float]] = {}
        self.bytes: dict[str, dict[str, int]] = {}
        self.weights: dict[str, dict[str, int]] = {}
        self.kernels: dict[str, str] = {}


def _times(before: Predictor, after: Predictor, feeds: dict[str, Any]) -> _Times:
    """Both nets in turn, so that a busy moment hits both; then each of them watched."""
    nets = {"before": before, "after": after}
    found = _Times()
    for net in nets.values():
        for _ in range(3):
            net(feeds)
    once = sum(_timed(net) for net in nets.values()) / 1e9
    found.runs = int(min(max(SECONDS / 2 / max(once, 1e-9), RUNS[0]), RUNS[1]))
    taken = [{when: _timed(net) for when, net in nets.items()} for _ in range(found.runs)]
    for when, net in nets.items():
        found.nets[when] = statistics.median(run[when] for run in taken) / 1e3
        with observe(net) as profile:
            for _ in range(found.runs):
                net.net.run()
        found.of[when] = {row.first.outputs[0]: row.median / 1e3 for row in profile.rows() if row.first.outputs}
        found.bytes[when] = _sizes(profile)
        found.weights[when] = {name: _nbytes(net.fetch(name)) for name in net.parameters}
        if when == "after":
            found.kernels = {row.first.outputs[0]: row.kernel for row in profile.rows() if row.first.outputs}
    return found


def _timed(net: Predictor) -> int:
    began = time.perf_counter_ns()
    net.net.run()
    return time.perf_counter_ns() - began


def _nbytes(value: Any) -> int:
    return int(getattr(getattr(value, "data", None), "nbytes", 0))


def _sizes(profile: Profile) -> dict[str, int]:
    return {size.blob: size.nbytes for size in profile.memory()}


# ---- ranges ---------------------------------------------------------------------------------------------------------


def _blob(name: str, entry: Mapping[str, Any], result: Result) -> dict[str, Any]:
    """What calibration saw of a blob, and the range that was chosen."""
    histogram = result.statistics.blobs[name].histogram
    params = QParams(entry["scale"], entry["zero_point"], entry["bits"])
    bins = _coarse(histogram)
    return {
        "blob": name,
        "bits": params.precision,
        "scale": params.scale,
        "zero_point": params.zero_point,
        "range": [params.min, params.max],
        "seen": entry["seen"],
        "clipped": clipped(histogram, params),
        "histogram": bins,
    }


def clipped(histogram: AlignedHistogram, params: QParams) -> float:
    """The share of the values, to a bin, that lie more than half a step outside the range, and are cut."""
    width = 2.0**histogram.exponent
    middles = (histogram.first + np.arange(histogram.counts.size) + 0.5) * width
    half = params.scale / 2
    cut = histogram.counts[(middles < params.min - half) | (middles > params.max + half)].sum()
    return float(cut / max(histogram.total, 1))


def _coarse(histogram: AlignedHistogram) -> dict[str, Any]:
    """At most BINS bins: lo, where the first begins; width; counts."""
    n = histogram.counts.size
    group = -(-n // BINS)
    counts = np.pad(histogram.counts, (0, -n % group)).reshape(-1, group).sum(axis=1)
    width = 2.0**histogram.exponent
    return {"lo": histogram.first * width, "width": width * group, "counts": counts.tolist()}


def _weights(
    rows: _Rows, before: Predictor, after: Predictor, layers: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Of each layer with one weight: its range by output channel, against the range that its int8 form can hold."""
    shapes = {when: net.parameters for when, net in (("before", before), ("after", after))}
    for row in rows.names:
        names = {
            when: [n for op in rows.ops[when].get(row, []) for n in op.input if len(shapes[when].get(n, ())) > 1]
            for when in shapes
        }
        if len(names["before"]) == len(names["after"]) == 1:
            value, stored = before.fetch(names["before"][0]), after.fetch(names["after"][0])
            if hasattr(stored, "zero_point") and not hasattr(value, "zero_point"):
                scales = [
                    s for op in rows.ops["after"][row] for a in op.arg if a.name == "weight_scales" for s in a.floats
                ]
                bits = next((layers[n]["bits"] for op in rows.ops["before"][row] for n in op.output if n in layers), 8)
                yield {"blob": row, "weight": names["before"][0], **_channels(value, stored, scales, bits)}


def _channels(value: np.ndarray, stored: Any, scales: list[float], bits: int = 8) -> dict[str, Any]:
    """scales: of the output channels, or none where the tensor's own holds for all. bits: of the levels, which lie in
    the middle of those of a byte."""
    of_rows, flat = np.array(scales or [stored.scale], np.float64), value.reshape(len(value), -1)
    first = 128 - (1 << (bits - 1)) if stored.data.dtype == np.uint8 else 0
    params = QParams(float(of_rows.max()), int(stored.zero_point) - first, bits)
    lo, hi = flat.min(axis=1), flat.max(axis=1)
    low, high = -params.zero_point * of_rows, (params.qmax - params.zero_point) * of_rows
    used = np.maximum(_share(lo, low), _share(hi, high))
    return {
        "shape": list(value.shape),
        "bits": bits,
        "scales": of_rows.tolist(),
        "zero_point": int(stored.zero_point),
        "range": [params.min, params.max],
        "lo": _short(lo),
        "hi": _short(hi),
        "used": [float(used.min()), float(used.max())],
    }


def _share(of: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Nothing of a range that ends at 0."""
    return np.divide(of, whole, out=np.zeros(len(of)), where=whole != 0)


def _short(values: np.ndarray) -> list[float]:
    """To four digits: a picture needs no more."""
    return [float(f"{v:.4g}") for v in values.tolist()]
