"""Looks for cliffs: every native operator on shapes of equal volume that vector code dislikes.

    python benchmarks/cliffs.py [--json] [--threads 1] [--only RE] [--rounds 3] [--times 5] [-v]

Shapes have sizes of 1, 3, 17, primes, one beside the width of a vector, K = 1, tall and flat ones. A point's throughput
is the time that the machine would need at best (multiply-adds at its peak plus bytes in and out at the speed of a copy)
divided by the time taken, so that points of one volume compare although some move more bytes. The speeds are measured
first: the peak as that of a square product, the copy for every amount of bytes, because some points of equal volume fit
the second-level cache and others (a product with K = 1 writes 64 MB) pass through memory. An int8 product or average
also has to requantize each sum, which costs as much as dozens of multiply-adds: where K is 1 there is nothing else to
do. That speed is one of a product with K = 4, a single step. Bound: no point below a quarter of the best of its
operator.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import timing
from overhead import add_op
from peers import ours

from serverquant.proto import NetDef

BOUND = 0.25
WARM_NS = 3_000_000  # waking a worker takes longer than many of these operators, which until then run on one thread
SQUARE = 384  # sizes of the product whose speed is the peak
COPIES = [1 << power for power in range(16, 28)]  # bytes in and out
IN, WEIGHT = (0.05, 120), (0.01, 128)
OUT: dict[str, Any] = {"Y_scale": 0.07, "Y_zero_point": 110}
FLAT = [(65536,), (65537,), (65521,), (65535, 1), (1, 65536), (3, 21845), (17, 3855), (255, 257), (256, 256),
        (4096, 16)]
IMAGES = [(1, 64, 32, 32), (1, 63, 32, 32), (1, 65, 32, 32), (1, 1, 256, 256), (1, 3, 148, 148), (1, 17, 62, 62),
          (1, 64, 1, 1024), (1, 64, 1024, 1), (1, 1024, 8, 8), (16, 64, 8, 8), (1, 16, 61, 67)]
PRODUCTS = [(256, 256, 256), (255, 257, 255), (17, 991, 997), (1, 4096, 4096), (4096, 1, 4096), (4096, 4096, 1),
            (3, 2365, 2365), (1024, 1024, 16), (1024, 17, 963), (31, 733, 739), (65, 63, 4096)]
CHANNELS = [(64, 64), (63, 65), (3, 64), (64, 3), (1, 64), (64, 1), (17, 17), (31, 33), (256, 256), (16, 512),
            (512, 16)]
CONV_VOLUME = 1 << 24


@dataclass(frozen=True)
class Point:
    """One operator on one shape: a net, its blobs, multiply-adds, bytes in and out, and sums that it requantizes."""

    shape: str
    net: Any
    feeds: dict[str, Any]
    macs: int
    moved: int
    requantized: int = 0

    @property
    def engine(self) -> str:
        return self.net.op[0].engine

    @property
    def kind(self) -> str:
        return "int8" if any(isinstance(value, tuple) for value in self.feeds.values()) else "float"


@dataclass(frozen=True)
class Roofs:
    """What this machine does in a nanosecond: bytes copied (in and out) by amount, multiply-adds by kind, sums
    requantized by engine."""

    copies: dict[int, float]
    peak: dict[str, float]
    requantized: dict[str, float]

    @classmethod
    def measure(cls, runner: ours.Ours, args: Any) -> Roofs:
        copies, above = {}, 0.0
        for amount in reversed(COPIES):
            x, repeats = np.ones(amount // 2, np.uint8), max(1, COPIES[-1] // 16 // amount)
            y = np.empty_like(x)
            work = timing.timed(lambda x=x, y=y, repeats=repeats: [np.copyto(y, x) for _ in range(repeats)])
            # Less is never slower: where it seems so, something else was running.
            above = max(above, amount * repeats / min(min(work(args.times)) for _ in range(args.rounds)))
            copies[amount] = above
        peak = {}
        for int8 in (False, True):
            square = next(fc(int8, "DNNLOWP" if int8 else "", [(SQUARE,) * 3]))
            peak[square.kind] = square.macs / least_ns(square, runner, args)
        requantized = {}
        for engine in ("DNNLOWP", ""):
            step = next(fc(True, engine, [(SQUARE, SQUARE, 4)]))
            requantized[engine] = step.requantized / least_ns(step, runner, args)
        return cls(copies, peak, requantized)

    def best_ns(self, point_: Point) -> float:
        speed = np.interp(point_.moved, COPIES, [self.copies[amount] for amount in COPIES])
        sums = point_.requantized / self.requantized[point_.engine] if point_.requantized else 0.0
        return point_.macs / self.peak[point_.kind] + point_.moved / float(speed) + sums


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def quantized(parameters: tuple[float, int], *shape: int) -> tuple[np.ndarray, float, int]:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8), *parameters


def bias(n: int) -> tuple[np.ndarray, float, int]:
    return np.random.default_rng(2).integers(-1000, 1000, n, np.int32), IN[0] * WEIGHT[0], 0


def point(shape: Any, feeds: dict[str, Any], type_: str, engine: str, out_bytes: int, macs: int = 0,
          requantized: int = 0, **args: Any) -> Point:
    """A net of one operator that takes the feeds in their order."""
    net = NetDef(name="cliff", type="simple", external_input=list(feeds), external_output=["Y"])
    add_op(net, type_, list(feeds), ["Y"], engine, **args)
    moved = out_bytes + sum((value[0] if isinstance(value, tuple) else value).nbytes for value in feeds.values())
    return Point("x".join(map(str, shape)), net, feeds, macs, moved, requantized)


def elementwise(type_: str, inputs: int, engine: str = "", int8: bool = False, **args: Any) -> Iterator[Point]:
    for shape in FLAT:
        one = quantized(IN, *shape) if int8 else array(*shape)
        size = math.prod(shape) * (1 if int8 else 4)
        yield point(shape, {f"X{i}": one for i in range(inputs)}, type_, engine, size, **args)


def images(type_: str, engine: str = "", int8: bool = False, nhwc: bool = False, **args: Any) -> Iterator[Point]:
    """Operators of one image-like input and an output of its size. Each tap of a pool counts as a multiply-add: loading
    it takes as long. Along an axis of size 1 a single tap meets the image."""
    for n, c, h, w in IMAGES:
        taps = math.prod(min(size, args["kernel"]) for size in (h, w) if size > 1) if "kernel" in args else 0
        shape = (n, h, w, c) if nhwc else (n, c, h, w)
        x = quantized(IN, *shape) if int8 else array(*shape)
        order: dict[str, Any] = {"order": b"NHWC"} if nhwc else {}
        yield point((n, c, h, w), {"X": x}, type_, engine, math.prod(shape) * (1 if int8 else 4),
                    taps * math.prod(shape), math.prod(shape) if "Average" in type_ and int8 else 0, **order, **args)


def batch_norm() -> Iterator[Point]:
    for shape in IMAGES:
        per_channel = {name: np.abs(array(shape[1])) + 1 for name in ("scale", "bias", "mean", "var")}
        yield point(shape, {"X": array(*shape), **per_channel}, "SpatialBN", "", 4 * math.prod(shape), is_test=1)


def softmax() -> Iterator[Point]:
    for shape in [(shape if len(shape) == 2 else (1, *shape)) for shape in FLAT]:
        yield point(shape, {"X": array(*shape)}, "Softmax", "", 4 * math.prod(shape))


def concat() -> Iterator[Point]:
    for shape in [shape for shape in FLAT if len(shape) == 2]:
        net_point = point(shape, {"A": array(*shape), "B": array(*shape)}, "Concat", "", 8 * math.prod(shape), axis=1)
        net_point.net.op[0].output.append("split")
        yield net_point


def fc(int8: bool, engine: str = "", products: Sequence[tuple[int, int, int]] = PRODUCTS) -> Iterator[Point]:
    for m, n, k in products:
        if int8:
            feeds: dict[str, Any] = {"X": quantized(IN, m, k), "W": quantized(WEIGHT, n, k), "B": bias(n)}
            yield point((m, n, k), feeds, "Int8FC", engine, m * n, m * n * k, m * n, **OUT)
        else:
            yield point((m, n, k), {"X": array(m, k), "W": array(n, k), "B": array(n)}, "FC", "", 4 * m * n, m * n * k)


def conv(int8: bool, kernel: int, engine: str = "", nhwc: bool = True, depthwise: bool = False) -> Iterator[Point]:
    """As many pixels as make up the volume; padded, so that the output is as large as the input."""
    for c, m in [(c, c) for c in (64, 63, 65, 17, 3, 1, 1024)] if depthwise else CHANNELS:
        taps = kernel * kernel * (1 if depthwise else c)
        side = max(1, round(math.sqrt(CONV_VOLUME / (8 if depthwise else 1) / (m * taps))))
        x_shape = (1, side, side, c) if nhwc else (1, c, side, side)
        per_group = 1 if depthwise else c
        w_shape = (m, kernel, kernel, per_group) if nhwc else (m, per_group, kernel, kernel)
        args = {"kernel": kernel, "pad": kernel // 2, "order": b"NHWC" if nhwc else b"NCHW",
                "group": c if depthwise else 1}
        if int8:
            feeds: dict[str, Any] = {"X": quantized(IN, *x_shape), "W": quantized(WEIGHT, *w_shape), "B": bias(m)}
        else:
            feeds = {"X": array(*x_shape), "W": array(*w_shape), "B": array(m)}
        out = side * side * m
        yield point((c, m, side, side), feeds, "Int8Conv" if int8 else "Conv", engine, out * (1 if int8 else 4),
                    out * taps, out if int8 else 0, **args, **(OUT if int8 else {}))


POOL: dict[str, Any] = {"kernel": 3, "stride": 1, "pad": 1}
SWEEPS: dict[str, Callable[[], Iterator[Point]]] = {
    "Relu": lambda: elementwise("Relu", 1),
    "Clip": lambda: elementwise("Clip", 1, min=-1.0, max=1.0),
    "Copy": lambda: elementwise("Copy", 1),
    "Add": lambda: elementwise("Add", 2),
    "Mul": lambda: elementwise("Mul", 2),
    "Sum": lambda: elementwise("Sum", 3),
    "Softmax": softmax,
    "Concat": concat,
    "SpatialBN": batch_norm,
    "NCHW2NHWC": lambda: images("NCHW2NHWC"),
    "NHWC2NCHW": lambda: images("NHWC2NCHW"),
    "MaxPool NCHW": lambda: images("MaxPool", **POOL),
    "MaxPool NHWC": lambda: images("MaxPool", nhwc=True, **POOL),
    "AveragePool NCHW": lambda: images("AveragePool", **POOL),
    "AveragePool NHWC": lambda: images("AveragePool", nhwc=True, **POOL),
    "FC": lambda: fc(False),
    "Conv 1x1 NCHW": lambda: conv(False, 1, nhwc=False),
    "Conv 3x3 NCHW": lambda: conv(False, 3, nhwc=False),
    "Conv 3x3 NHWC": lambda: conv(False, 3),
    "Conv depthwise NCHW": lambda: conv(False, 3, nhwc=False, depthwise=True),
    "Int8Quantize DNNLOWP": lambda: elementwise("Int8Quantize", 1, "DNNLOWP", **OUT),
    "Int8Dequantize DNNLOWP": lambda: elementwise("Int8Dequantize", 1, "DNNLOWP", True),
    "Int8Relu DNNLOWP": lambda: elementwise("Int8Relu", 1, "DNNLOWP", True),
    "Int8Add DNNLOWP": lambda: elementwise("Int8Add", 2, "DNNLOWP", True, **OUT),
    "Int8SumRelu DNNLOWP": lambda: elementwise("Int8SumRelu", 2, "DNNLOWP", True, **OUT),
    "Int8MaxPool DNNLOWP": lambda: images("Int8MaxPool", "DNNLOWP", True, True, **POOL),
    "Int8AveragePool DNNLOWP": lambda: images("Int8AveragePool", "DNNLOWP", True, True, **POOL, **OUT),
    "Int8FC DNNLOWP": lambda: fc(True, "DNNLOWP"),
    "Int8Conv 1x1 DNNLOWP": lambda: conv(True, 1, "DNNLOWP"),
    "Int8Conv 3x3 DNNLOWP": lambda: conv(True, 3, "DNNLOWP"),
    "Int8Conv depthwise 3x3 DNNLOWP": lambda: conv(True, 3, "DNNLOWP", depthwise=True),
    "Int8Conv depthwise 5x5 DNNLOWP": lambda: conv(True, 5, "DNNLOWP", depthwise=True),
    "Int8Add mobile": lambda: elementwise("Int8Add", 2, "", True, **OUT),
    "Int8Quantize mobile": lambda: elementwise("Int8Quantize", 1, **OUT),
    "Int8MaxPool mobile": lambda: images("Int8MaxPool", "", True, True, **POOL, Y_scale=IN[0], Y_zero_point=IN[1]),
    "Int8AveragePool mobile": lambda: images("Int8AveragePool", "", True, True, **POOL, **OUT),
    "Int8FC mobile": lambda: fc(True),
    "Int8Conv 3x3 mobile": lambda: conv(True, 3),
}


def least_ns(point_: Point, runner: ours.Ours, args: Any) -> float:
    """The least of several runs, since a cliff is not noise."""
    runner.reset()
    runner.feed(point_.feeds)
    runner.create(point_.net.SerializeToString())
    warm = 0
    while warm < WARM_NS:
        warm += sum(runner.run(args.times))
    return min(min(runner.run(args.times)) for _ in range(args.rounds))


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.set_defaults(threads=[1], rounds=3, times=5)
    parser.add_argument("--only", default="", help="regular expression for operators")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every point")
    args = parser.parse_args()
    report = timing.Report.start("Cliffs: least throughput of a shape as a share of its operator's best", args.json)
    for threads in args.threads:
        with ours.Ours(threads) as runner:
            roofs = Roofs.measure(runner, args)
            report.add("roofs", copied_bytes_per_ns={a: round(v, 1) for a, v in roofs.copies.items()},
                       macs_per_ns={kind: round(v, 1) for kind, v in roofs.peak.items()},
                       requantized_per_ns={engine or "mobile": round(v, 1) for engine, v in roofs.requantized.items()})
            for name in [name for name in SWEEPS if re.search(args.only, name)]:
                found = {p.shape: roofs.best_ns(p) / least_ns(p, runner, args) for p in SWEEPS[name]()}
                best, worst = max(found.values()), min(found, key=lambda shape: found[shape])
                report.at_least(f"{name}, {threads} threads: {worst}", found[worst] / best, BOUND)
                for shape, value in found.items() if args.verbose else ():
                    report.add("point", shape=shape, of_best=round(value / best, 3), efficiency=round(value, 3))
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
