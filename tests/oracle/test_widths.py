"""Operators of engine DNNLOWP at other widths than 8 bits (activation_precision), in the real Caffe2: the same bytes,
and which of them end at the largest level, as `quantization` believes (emit.writer.LIMITED)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from ops import nets
from peers import real_caffe2

from serverquant import Int8, core, proto
from serverquant.quantization.emit.writer import LIMITED

pytestmark = pytest.mark.oracle
ENGINE = "DNNLOWP"
STEP = np.float32(0.1)


@pytest.fixture(scope="module")
def caffe2() -> Iterator[real_caffe2.Caffe2]:
    with real_caffe2.Caffe2(1) as found:
        yield found


def floats(*dims: int) -> np.ndarray:
    return np.float32(np.random.default_rng(dims).normal(size=dims))


class Levels(NamedTuple):
    """Of an activation: its shape."""

    dims: tuple[int, ...]


def activation(*dims: int) -> Levels:
    return Levels(dims)


def weight(*dims: int) -> Int8:
    return Int8(np.random.default_rng(dims).integers(64, 192, dims).astype(np.uint8), np.float32(0.01), 128)


def bias(n: int) -> Int8:
    return Int8(np.random.default_rng(n).integers(-50, 50, n).astype(np.int32), STEP * np.float32(0.01), 0)


X, NORM = activation(1, 6, 6, 8), {"g": floats(8), "b": floats(8)}
IMAGE = {"order": "NHWC"}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "quantize": ("Int8Quantize", {"X": floats(5, 8) * 4}, {}),
    "conv": ("Int8Conv", {"X": X, "W": weight(8, 3, 3, 8), "B": bias(8)}, {"kernel": 3, **IMAGE}),
    "depthwise": ("Int8Conv", {"X": X, "W": weight(8, 3, 3, 1)}, {"kernel": 3, "pad": 1, "group": 8, **IMAGE}),
    "conv 3d": ("Int8Conv", {"X": activation(1, 4, 5, 5, 5), "W": weight(8, 4, 3, 3, 3)}, {"kernels": [3, 3, 3]}),
    "fc": ("Int8FC", {"X": activation(5, 16), "W": weight(7, 16), "B": bias(7)}, {}),
    "sum": ("Int8Sum", {"X": activation(3, 40), "Z": activation(40, 3)}, {}),
    "sum of three": ("Int8Sum", {name: activation(3, 40) for name in "XZV"}, {}),
    "mul": ("Int8Mul", {"X": activation(3, 40), "Z": activation(3, 40)}, {}),
    "concat": ("Int8Concat", {"X": activation(3, 40), "Z": activation(3, 4)}, {"axis": 1}),
    "matmul": ("Int8BatchMatMul", {"X": activation(2, 3, 8), "Z": activation(2, 8, 5)}, {}),
    "constant matmul": ("Int8BatchMatMul", {"X": activation(2, 3, 8), "Z": floats(2, 8, 5)}, {"constant_B": 1}),
    "average pool": ("Int8AveragePool", {"X": X}, {"kernel": 2, **IMAGE}),
    "spatial bn": ("Int8SpatialBN", {"X": X, **NORM, "m": floats(8), "v": floats(8) ** 2}, {"is_test": 1, **IMAGE}),
    "group norm": ("Int8GroupNorm", {"X": X, **NORM}, {"group": 2, **IMAGE}),
    "group norm, blocks and rest": ("Int8GroupNorm", {"X": activation(1, 8, 3, 9), **NORM}, {"group": 2}),
    "elementwise linear": ("Int8ElementwiseLinear", {"X": activation(5, 8), **NORM}, {"axis": 1}),
    "lstm": (
        "Int8LSTMUnit",
        {**{name: activation(1, 9, 3) for name in "hc"}, "gates": activation(1, 9, 12),
         "lengths": np.int32([9] * 8 + [2]), "time": np.int32([3])},
        {"forget_bias": 0.5, "Y2_scale": 0.02, "Y2_zero_point": 1},
    ),
}  # fmt: skip


def run(case: str, bits: int, caffe2: real_caffe2.Caffe2) -> np.ndarray:
    """What both write, which is the same."""
    rng = np.random.default_rng(bits)
    kind, given, args = CASES[case]
    feeds: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, Levels):
            dims = given["X"].dims if case == "sum" else value.dims
            value = Int8(rng.integers(0, 1 << bits, dims).astype(np.uint8), STEP, (1 << bits) // 3)
        feeds[name] = value
    args = {"Y_scale": 0.01, "Y_zero_point": 1, "activation_precision": bits, **args}
    outputs = ["Y", "more"] if kind in ("Int8Concat", "Int8LSTMUnit") else ["Y"]
    ours = nets.run(kind, feeds, outputs, engine=ENGINE, **args)
    ours = ours[0] if isinstance(ours, list) else ours
    net = proto.NetDef(name="net")
    net.op.append(core.CreateOperator(kind, list(feeds), outputs, engine=ENGINE, **args))
    net.external_input.extend(feeds)
    caffe2.reset()
    caffe2.feed({name: tuple(value) if isinstance(value, Int8) else value for name, value in feeds.items()})
    caffe2.create(net.SerializeToString())
    caffe2.run(1)
    data, scale, zero_point = caffe2.fetch(["Y"])["Y"]
    assert (scale, zero_point) == (np.float32(ours.scale), ours.zero_point)
    np.testing.assert_array_equal(ours.data, data)
    return data


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 7])
@pytest.mark.parametrize("case", CASES)
def test_ends_at_the_largest_level(case, bits, caffe2):
    limited = CASES[case][0] in LIMITED and case != "constant matmul"
    ends = run(case, bits, caffe2).max() < 1 << bits
    assert ends == (limited or case in ("conv 3d", "sum of three", "lstm"))  # which end there in some cases alone
