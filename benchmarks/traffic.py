"""Recommender traffic: shapes that never repeat. A net of embedding bags, dot products and small layers.

    python benchmarks/traffic.py [--json] [--threads 1 2] [--rounds 10] [--times 100] [--tables 26] [--batch 16]

Requests of three kinds, in turns, with the same work on average: every request the same numbers of indices; other
numbers at every request; another batch size too. Bounds: 1.2 times the first kind for the second, and no request is
planned in Python once the net has run (counted). Feeding is not timed. Outputs of one request of each kind are compared
with those of a net that was made for it alone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import timing

import serverquant
from serverquant import core
from serverquant.proto import NetDef
from serverquant.proto.wire import read_net
from serverquant.runtime.nets import make_net
from serverquant.runtime.workspace import Workspace

WIDTH, ROWS, MEAN_BAG = 32, 2000, 10
BOUND = 1.2
Feed = dict[str, Any]


def recommender(tables: int) -> NetDef:
    """Bottom layer, bags of fused 8-bit rows, their dot products with each other, top layers."""
    net = NetDef(name="recommender", type="planned")

    def add(type_: str, inputs: list[str], outputs: list[str], **args: Any) -> str:
        net.op.append(core.CreateOperator(type_, inputs, outputs, **args))
        return outputs[0]

    dense = add("Relu", [add("FC", ["dense", "w0", "b0"], ["bottom"])], ["bottom_relu"])
    bags = [
        add("SparseLengthsSumFused8BitRowwise", [f"table{t}", f"indices{t}", f"lengths{t}"], [f"bag{t}"])
        for t in range(tables)
    ]
    stacked = add("Concat", [dense, *bags], ["stacked", "_0"], axis=1, add_axis=1)
    dots = add("Flatten", [add("BatchMatMul", [stacked, stacked], ["dots"], trans_b=1)], ["flat"])
    joined = add("Concat", [dense, dots], ["joined", "_1"], axis=1)
    top = add("Relu", [add("FC", [joined, "w1", "b1"], ["top"])], ["top_relu"])
    add("Sigmoid", [add("FC", [top, "w2", "b2"], ["score"])], ["click"])
    made = {name for op in net.op for name in op.output}
    net.external_input.extend(sorted({name for op in net.op for name in op.input} - made))
    net.external_output.append("click")
    return net


def weights(tables: int) -> Feed:
    rng = np.random.default_rng(0)
    sizes = {"0": (WIDTH, 13), "1": (64, WIDTH + (tables + 1) ** 2), "2": (1, 64)}
    found: Feed = {f"w{i}": rng.normal(size=size).astype(np.float32) * 0.1 for i, size in sizes.items()}
    found |= {f"b{i}": np.zeros(size[0], np.float32) for i, size in sizes.items()}
    for t in range(tables):
        found[f"table{t}"] = rng.integers(0, 60, (ROWS, WIDTH + 8), np.uint8)
        found[f"table{t}"][:, WIDTH:] = np.float32([0.01, -0.3]).view(np.uint8)
    return found


def request(tables: int, batch: int, seed: int, vary: bool, vary_batch: bool) -> Feed:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(batch // 2, batch + batch // 2 + 1)) if vary_batch else batch
    feed: Feed = {"dense": rng.normal(size=(rows, 13)).astype(np.float32)}
    for t in range(tables):
        lengths = rng.integers(0, 2 * MEAN_BAG + 1, rows) if vary else np.full(rows, MEAN_BAG)
        feed[f"lengths{t}"] = lengths.astype(np.int32)
        feed[f"indices{t}"] = rng.integers(0, ROWS, int(lengths.sum()))
    return feed


class Server:
    """The net in a workspace; `run` answers requests and counts the plans that they needed."""

    def __init__(self, tables: int):
        self.space = Workspace()
        self.feed(weights(tables))
        self.net: Any = None
        self.file = read_net(recommender(tables))
        self.plans = 0

    def feed(self, feed: Feed) -> None:
        for name, value in feed.items():
            self.space.create(name).feed(value)

    def start(self, feed: Feed) -> np.ndarray:
        self.feed(feed)
        self.net = make_net(self.file, self.space)
        build = self.net.build

        def counted(pending: Any) -> Any:
            self.plans += 1
            return build(pending)

        self.net.run()
        self.net.build = counted
        return self.answer(feed)

    def answer(self, feed: Feed) -> np.ndarray:
        self.feed(feed)
        self.net.run()
        found: np.ndarray = self.space.fetch("click")
        return found

    def run(self, times: int, feeds: list[Feed]) -> list[int]:
        taken = []
        for i in range(times):
            self.feed(feeds[i % len(feeds)])
            began = time.perf_counter_ns()
            self.net.run()
            taken.append(time.perf_counter_ns() - began)
        return taken


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--tables", type=int, default=26)
    parser.add_argument("--batch", type=int, default=16)
    parser.set_defaults(times=100)
    args = parser.parse_args()
    report = timing.Report.start("Recommender traffic", args.json, [])
    kinds = {"same lengths": (False, False), "other lengths": (True, False), "other batches": (True, True)}
    feeds = {
        kind: [request(args.tables, args.batch, seed, *vary) for seed in range(args.times)]
        for kind, vary in kinds.items()
    }
    for threads in args.threads:
        serverquant.set_num_threads(threads)
        server = Server(args.tables)
        server.start(feeds["same lengths"][0])
        for kind, requests in feeds.items():
            if not np.array_equal(server.answer(requests[1]), Server(args.tables).start(requests[1])):
                sys.exit(f"{kind}: the answer depends on earlier requests")
        runs: dict[str, Callable[[int], list[int]]] = {
            kind: partial(server.run, feeds=requests) for kind, requests in feeds.items()
        }
        samples = timing.take_turns(runs, args.rounds, args.times)
        report.samples(f"{args.tables} tables, batch {args.batch}, {threads} threads", samples, "other lengths",
                       {"same lengths": BOUND})
        report.bound("plans made in Python while serving", server.plans, 0)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
