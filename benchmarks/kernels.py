"""The int8 convolution kernels on the layers of real nets, for every row of the kernel tables.

    python benchmarks/kernels.py [--model resnet50 mobilenet_v2] [--threads 1] [--row RE] [--times 20] [--json]

One line a layer: the least and median time of a run with warm caches, and billions of operations a second (a multiply
and an add are two; padding does not count). Requantization to uint8 with a multiplier per channel is part of the run.
Before a layer is timed its bytes are compared with the scalar row's. Weights are Laplace-distributed, as trained ones
are, and symmetric; `--weight-zero-point` adds the row sums that others need.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serverquant._base import _isa, _threads
from serverquant.kernels.conv import _conv
from serverquant.kernels.dwconv import _dwconv
from serverquant.kernels.gemm import _gemm

SHAPES = Path(__file__).parent / "shapes"


@dataclass(frozen=True)
class Layer:
    """One line of a shapes file: square image, kernel and stride; `count` such layers in the net."""

    size: int
    kernel: int
    stride: int
    pad: int
    in_channels: int
    out_channels: int
    groups: int
    count: int

    @property
    def depthwise(self) -> bool:
        return self.groups == self.in_channels == self.out_channels > 1

    def geometry(self) -> Any:
        return _conv.Geometry((self.size,) * 2, (self.kernel,) * 2, (self.stride,) * 2, (self.pad,) * 4, (1, 1),
                              self.in_channels, self.out_channels, self.groups)


@dataclass(frozen=True)
class Result:
    """Times of one layer on one row, in microseconds."""

    layer: Layer
    row: str
    least: float
    median: float
    gops: float


def read_shapes(model: str) -> list[Layer]:
    lines = (SHAPES / f"{model}.txt").read_text().splitlines()
    return [Layer(*map(int, line.split())) for line in lines if line and not line.startswith("#")]


def operands(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """A seeded image and weights of the layer."""
    rng = np.random.default_rng(0)
    shape = (layer.out_channels, layer.kernel, layer.kernel, layer.in_channels // layer.groups)
    x = rng.integers(0, 256, (1, layer.size, layer.size, layer.in_channels), np.uint8)
    return x, np.clip(np.rint(rng.laplace(0, 14, shape)), -128, 127).astype(np.int8)


def runner(layer: Layer, row: str, zero_point: int) -> Any:
    """A function that runs the layer once and returns its output."""
    x, w = operands(layer)
    geometry, packed = layer.geometry(), _conv.pack_conv(w, layer.groups, zero_point, row=row)
    multiplier = np.full(layer.out_channels, 0.3 / (14 * 74 * np.sqrt(w[0].size)), np.float32)
    epilogue = _gemm.Epilogue("requant_f32", layer.out_channels, _gemm.fold(packed, 128), multiplier, zero_point=100)
    out = _conv.conv(x, geometry, packed, epilogue, 128)
    scratch = _conv.scratch(geometry, packed)
    return lambda: _conv.conv(x, geometry, packed, epilogue, 128, out, scratch)


def measure(layer: Layer, row: str, times: int, zero_point: int) -> Result:
    scalar = "sq_dwconv_u8s16s32_16c1_scalar" if row.startswith("sq_dwconv") else "sq_gemm_u8s8s32_2x16c1_scalar"
    run = runner(layer, row, zero_point)
    np.testing.assert_array_equal(run(), runner(layer, scalar, zero_point)())
    taken = []
    for _ in range(times):
        begin = time.perf_counter_ns()
        run()
        taken.append((time.perf_counter_ns() - begin) / 1000)
    return Result(layer, row, min(taken), statistics.median(taken), 2 * layer.geometry().macs / min(taken) / 1000)


def rows_for(layer: Layer, wanted: str) -> list[str]:
    rows = _dwconv.rows() if layer.depthwise else _gemm.rows()
    return [r.name for r in rows if r.supported and re.search(wanted, r.name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["resnet50", "mobilenet_v2"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--row", default=_isa.detected() + "$", help="regular expression on the row's name")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--weight-zero-point", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    _threads.set_num_threads(args.threads)
    report: dict[str, Any] = {}
    for model in args.model:
        layers = read_shapes(model)
        found = [measure(n, row, args.times, args.weight_zero_point) for n in layers for row in rows_for(n, args.row)]
        report[model] = [asdict(r) for r in found]
        for r in found if not args.json else []:
            shape = " ".join(str(v) for v in asdict(r.layer).values())
            print(f"{model} {shape:34s} {r.row:38s} {r.least:9.1f} us  median {r.median:9.1f}  {r.gops:7.1f} GOPS")
        for row in {re.sub(r".*_", "", r.row) for r in found} if not args.json else []:
            total = sum(r.median * r.layer.count for r in found if r.row.endswith(row))
            print(f"{model}: {row}, {args.threads} threads, all layers {total / 1000:.2f} ms")
    if args.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
