"""Single operators, and what Caffe2 1.8.1 says of them with the argument measure_quantization_error.

It runs the float operator on the dequantized inputs and logs "l2 relative error" and "max abs error" of the quantized
one. The inputs here are values that their int8 form holds exactly, so these are the errors of the operator alone.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from peers import real_caffe2
from small_nets import nets_of, random

from serverquant import core

f32 = np.float32
SCALE, ZERO_POINT = 0.03, 117
WEIGHTS = {"w": random(3, 6, seed=1), "k": random(6, 3, 3, 4, seed=2), "b": random(3, seed=3), "c": random(6, seed=4)}


@dataclass(frozen=True)
class Case:
    """An operator of engine DNNLOWP that writes y. relative, largest: Caffe2's "l2 relative error", "max abs error"."""

    name: str
    type: str
    inputs: tuple[str, ...]
    relative: float
    largest: float
    y_scale: float = 0.05
    y_zero_point: int = 128
    shape: tuple[int, ...] = (2, 5, 5, 4)
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def activations(self) -> list[str]:
        return [name for name in self.inputs if name not in WEIGHTS]

    def feeds(self) -> dict[str, np.ndarray]:
        """Values on the grid of (SCALE, ZERO_POINT), for each input that is no weight."""
        grid = np.random.default_rng(7)
        return {
            name: f32(SCALE) * (grid.integers(0, 256, self.shape) - ZERO_POINT).astype(f32) for name in self.activations
        }

    def float_net(self) -> Any:
        plain = self.type.removesuffix("Relu") or "Relu"
        ops = [core.CreateOperator(plain, list(self.inputs), ["y" if plain == self.type else "h"], **self.args)]
        if plain != self.type:
            ops.append(core.CreateOperator("Relu", ["h"], ["y"]))
        return self._nets(ops)

    def int8_net(self) -> Any:
        given = {"Y_scale": SCALE, "Y_zero_point": ZERO_POINT}
        ops = [core.CreateOperator("Quantize", [n], [f"{n}_q"], engine="DNNLOWP", **given) for n in self.activations]
        ops.append(
            core.CreateOperator(
                self.type,
                [f"{n}_q" if n in self.activations else n for n in self.inputs],
                ["y"],
                engine="DNNLOWP",
                measure_quantization_error=1,
                preserve_weight_sparsity=1,
                Y_scale=self.y_scale,
                Y_zero_point=self.y_zero_point,
                **self.args,
            )
        )
        return self._nets(ops)

    def _nets(self, ops: list[Any]) -> Any:
        weights = {n: WEIGHTS[n] for n in self.inputs if n in WEIGHTS}
        return nets_of(ops, inputs=self.activations, **weights)


NHWC = {"order": "NHWC"}
CASES = [
    Case("fc", "FC", ("x", "w", "b"), 0.0073618, 0.0332191, shape=(4, 6)),
    Case("conv", "Conv", ("x", "k", "c"), 0.00966613, 0.324133, 0.3, args={"kernel": 3, **NHWC}),
    Case("conv_relu", "ConvRelu", ("x", "k", "c"), 0.00793944, 0.324133, 0.2, 0, args={"kernel": 3, **NHWC}),
    Case("sum", "Sum", ("x", "z"), 0.0608421, 1.81),
    Case("sum_relu", "SumRelu", ("x", "z"), 0.00327106, 0.0200005, 0.04, 0),
    Case("average_pool", "AveragePool", ("x",), 0.0115847, 0.025, args={"kernel": 2, **NHWC}),
    Case("saturated", "FC", ("x", "w", "b"), 0.633497, 3.65624, 0.01, shape=(4, 6)),
]


def ask_caffe2(case: Case, folder: Path) -> tuple[float, float]:
    """(relative, largest) as the real Caffe2 logs them."""
    init, predict = case.int8_net()
    (folder / "init").write_bytes(init.SerializeToString())
    (folder / "predict").write_bytes(predict.SerializeToString())
    np.savez(folder / "feeds.npz", **case.feeds())
    command = [str(real_caffe2.PYTHON), "-c", SCRIPT, str(folder)]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    line = next(line for line in log.splitlines() if f"type {case.type} " in line and "l2 relative error" in line)
    found = re.search(r"l2 relative error (\S+) and max abs error (\S+)", line)
    assert found, line
    return float(found[1]), float(found[2])


SCRIPT = """
import sys, numpy
from caffe2.proto import caffe2_pb2
from caffe2.python import workspace
workspace.GlobalInit(["caffe2", "--caffe2_log_level=0"])
for name in ("init", "predict"):
    net = caffe2_pb2.NetDef()
    net.ParseFromString(open(sys.argv[1] + "/" + name, "rb").read())
    if name == "predict":
        for blob, value in numpy.load(sys.argv[1] + "/feeds.npz").items():
            workspace.FeedBlob(blob, value)
    workspace.RunNetOnce(net)
"""
