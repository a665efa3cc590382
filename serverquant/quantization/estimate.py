"""What quantizing a net gains, from a model of costs: no run is needed, and the answer is the same on every machine.

An operator takes, in nanoseconds on one core of a server CPU with AVX-512 VNNI,

    OVERHEAD + multiply-adds / RATE + bytes read and written / BANDWIDTH + values / SLOW

one sample at a time, so weights are read for each; multiply-adds count for layers, values for pools and functions such
as exp. An operator with a Python body, such as those of engine WIDE, takes PYTHON more, and bags read BAG rows. The
rates are what the kernels of this project did on small nets in one thread. To measure instead, see
`serverquant.observe` and `serverquant bench`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from serverquant.proto import OperatorDef
from serverquant.quantization.emit import Emitted
from serverquant.quantization.emit.forms import WIDE
from serverquant.quantization.net import LAYERS, Net, arguments
from serverquant.quantization.statistics import Statistics
from serverquant.runtime import registry
from serverquant.runtime.operator import PythonOperator

OVERHEAD, PYTHON = 40.0, 70_000.0
# by bytes of a value
RATE = {4: 40.0, 2: 10.0, 1: 200.0}
SLOW = {4: 2.0, 2: 0.2, 1: 8.0}
BANDWIDTH = 50.0
BAG = 16
WEIGHTED = (*LAYERS, "ConvTranspose")
SLOW_TYPES = {"MaxPool", "AveragePool", "RoIAlign", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "LSTMUnit", "GRUUnit",
              "Swish", "Mish", "Gelu", "Elu", "Exp", "Log", "GroupNorm", "LayerNorm", "LRN"}  # fmt: skip
MUCH, LEAST_US = 0.5, 20.0  # a net of more microseconds, of which more than this share stays float, is worth a warning
NAMED = 3  # operators in a warning


class GainWarning(UserWarning):
    """Quantizing hardly speeds the net up."""


def estimate(before: Sequence[OperatorDef], net: Net, statistics: Statistics, emitted: Emitted) -> dict[str, Any]:
    """recipe["estimate"] (docs/quantize.md). before: the operators of the float net; `net` has the int8 ones."""
    costs = _Costs(net, statistics, emitted)
    after = {op.output[0]: costs.ns(op) for op in net.ops if op.output}
    parts = _parts(before, emitted, costs)
    float_ns, int8_ns = sum(part["ns"] for part in parts.values()), sum(after.values())
    stays = [part for part in parts.values() if part["becomes"] is None]
    for name, part in parts.items():
        ns, made = part.pop("ns"), emitted.int8.get(name, name)
        part["share"] = _rounded(ns / float_ns)
        part["gain"] = _rounded(ns / after[made]) if part["becomes"] and after.get(made) else None
    found = {
        "float_us": _rounded(float_ns / 1e3),
        "int8_us": _rounded(int8_ns / 1e3),
        "gain": _rounded(float_ns / int8_ns) if int8_ns else None,
        "stays_float": _rounded(sum(part["share"] for part in stays)),
        "operators": list(parts.values()),
    }
    return {**found, "warning": _warning(found, stays)}


def _parts(before: Sequence[OperatorDef], emitted: Emitted, costs: _Costs) -> dict[str, dict[str, Any]]:
    """By the float blob at its end, each operator, or those that fuse: types, nanoseconds, what they become."""
    readers = {name: op for op in before for name in op.input}
    parts: dict[str, dict[str, Any]] = {}
    for op in before:
        name = end = op.output[0] if op.output else op.type
        while end not in emitted.stays and end not in emitted.quantized and end in readers and readers[end].output:
            end = readers[end].output[0]
        if end not in emitted.quantized:
            end = name
        becomes = emitted.quantized.get(end)
        part = parts.setdefault(end, {"output": end, "types": [], "becomes": becomes, "ns": 0.0})
        part["types"].append(op.type)
        part["ns"] += costs.ns(op)
    return parts


def _warning(found: dict[str, Any], stays: list[dict[str, Any]]) -> str:
    """Why the net will not gain, or ""."""
    if found["float_us"] < LEAST_US:
        return ""
    if found["stays_float"] > MUCH:
        worst = sorted(stays, key=lambda part: -part["share"])[:NAMED]
        named = ", ".join(f"{part['types'][-1]} ({part['output']})" for part in worst)
        more = f" and {len(stays) - NAMED} more" if len(stays) > NAMED else ""
        return f"{found['stays_float']:.0%} of the time stays float: {named}{more}".replace("%", " %")
    if found["gain"] is not None and found["gain"] < 1:
        if any(str(part["becomes"]).endswith(WIDE) for part in found["operators"]):
            return "operators of more than 8 bits, which are for accuracy alone, are slower than float ones"
        return "conversions between float and int8 take more time than int8 saves"
    return ""


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


class _Costs:
    """Nanoseconds of operators, float and int8, for one sample."""

    def __init__(self, net: Net, statistics: Statistics, emitted: Emitted):
        self.net, self.statistics = net, statistics
        self.int8 = {int8: name for name, int8 in emitted.int8.items()}
        self.fills: dict[str, tuple[int, ...]] = {}
        for op in emitted.init_ops:
            shape = self.fills[op.input[0]] if op.type == "Quantize" else tuple(arguments(op).value("shape", []))
            self.fills[op.output[0]] = shape

    def dims(self, name: str) -> tuple[int, ...] | None:
        """Of a weight all, of an activation without the batch."""
        value = self.net.weight(name)
        if value is not None:
            return value.shape
        name = self.int8.get(name, name)
        return self.statistics.blobs[name].shape if name in self.statistics.blobs else self.fills.get(name)

    def ns(self, op: OperatorDef) -> float:
        kind = op.type.removeprefix("Int8").removesuffix("Relu") or op.type
        if op.engine == WIDE:
            width = 2
        else:
            width = 1 if op.type.startswith("Int8") and op.type not in ("Int8Quantize", "Int8Dequantize") else 4
        sizes = [math.prod(dims) for name in (*op.input, *op.output) if (dims := self.dims(name)) is not None]
        activations = [self._size(name) for name in (*op.input, *op.output) if self.net.weight(name) is None]
        total = OVERHEAD + self._multiply_adds(op, kind) / RATE[width]
        if kind.startswith("SparseLengths") or (kind.startswith("Gather") and self.net.weight(op.input[0]) is not None):
            total += 4 * BAG * self._size(op.output[0]) / BANDWIDTH
        else:
            total += width * sum(sizes) / BANDWIDTH
        if kind in SLOW_TYPES:
            total += max(activations, default=0) / SLOW[width]
        body = registry.operator_class(op.type, op.engine) or registry.operator_class(op.type)
        return total + (PYTHON if op.engine == WIDE or (body and issubclass(body, PythonOperator)) else 0)

    def _size(self, name: str) -> int:
        dims = self.dims(name)
        return 0 if dims is None else math.prod(dims)

    def _multiply_adds(self, op: OperatorDef, kind: str) -> int:
        dims = self.dims(op.input[1]) if len(op.input) > 1 else None
        if kind in WEIGHTED and dims:
            return self._size(op.output[0]) * math.prod(dims[1:])
        if kind == "BatchMatMul":
            a = self.dims(op.input[0])
            return self._size(op.output[0]) * (a[-1] if a else 1)
        return 0
