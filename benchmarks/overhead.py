"""What a step costs beyond its work: chains of 1,000 tiny operators, ours against the real Caffe2's simple net.

    python benchmarks/overhead.py [--json] [--threads 1 2] [--rounds 10] [--times 10]

- relu: 1,000 Relu on 8 floats, each into a blob of its own. Bounds: half of Caffe2's time, 100 ns a step.
- mixed: 1,000 steps of Relu, Add, Mul, Clip, Copy and Concat on floats and Relu and Add on Int8, each into its own
  blob. Bound: half of Caffe2's time.
- a batch size never seen before at every run of either: at most 2 µs an operator more than the same size again.

Inputs are fed anew before every run, outside the clock; every blob is compared with Caffe2's before anything is timed.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import timing
from peers import ours, real_caffe2

from serverquant.proto import NetDef

STEPS = 1000
WIDTH = 8
BATCHES = 60  # a new batch size is one of 2, 3, ... in shuffled order
Feed = dict[str, Any]


@dataclass(frozen=True)
class Chain:
    """A net of STEPS operators, and its inputs for a batch size and a seed."""

    name: str
    net: Any
    blobs: list[str]
    bounds: dict[str, float]

    def feed(self, seed: int, batch: int = 1) -> Feed:
        """The net's inputs: x and y float, p and q uint8 of shape (batch, WIDTH), with fixed scales."""
        rng = np.random.default_rng(seed)
        floats = {name: rng.normal(size=(batch, WIDTH)).astype(np.float32) for name in "xy"}
        int8s = {name: (rng.integers(0, 256, (batch, WIDTH), np.uint8), 0.05, 120) for name in "pq"}
        return {name: value for name, value in (floats | int8s).items() if name in self.net.external_input}


def add_op(net: Any, type_: str, inputs: list[str], outputs: list[str], engine: str = "", **args: Any) -> str:
    """Appends an operator; a float argument goes into f, an int into i, bytes into s. Returns its first output."""
    op = net.op.add(type=type_, input=inputs, output=outputs, engine=engine)
    for name, value in args.items():
        op.arg.add(name=name, **{{float: "f", int: "i", bytes: "s"}[type(value)]: value})
    return outputs[0]


def relu_chain() -> Chain:
    net = NetDef(name="relu_chain", type="simple", external_input=["x"])
    for i in range(STEPS):
        add_op(net, "Relu", [f"b{i - 1}" if i else "x"], [f"b{i}"])
    return finished("relu", net, {"Caffe2": 0.5})


def mixed_chain() -> Chain:
    """Float and Int8 steps in turn; y and q come in again at every cycle, and Clip keeps the values from growing."""
    net = NetDef(name="mixed_chain", type="simple", external_input=["x", "y", "p", "q"])
    f, q = "x", "p"
    for i in range(STEPS // 8):
        copied = add_op(net, "Copy", [f], [f"copy{i}"])
        grown = add_op(net, "Mul", [add_op(net, "Add", [copied, "y"], [f"add{i}"]), "y"], [f"mul{i}"])
        f = add_op(net, "Clip", [grown], [f"clip{i}"], min=-3.0, max=3.0)
        positive = add_op(net, "Relu", [f], [f"relu{i}"])
        add_op(net, "Concat", [f, positive], [f"concat{i}", f"split{i}"], axis=1)
        summed = add_op(net, "Add", [q, "q"], [f"qadd{i}"], "DNNLOWP", Y_scale=0.06, Y_zero_point=110)
        q = add_op(net, "Relu", [summed], [f"qrelu{i}"], "DNNLOWP")
    return finished("mixed", net, {"Caffe2": 0.5})


def finished(name: str, net: Any, bounds: dict[str, float]) -> Chain:
    blobs = [blob for op in net.op for blob in op.output]
    net.external_output.extend(blobs[-1:])
    return Chain(name, net, blobs, bounds)


def same(a: Any, b: Any) -> bool:
    """Whether two fetched values are the same bits, parameters included."""
    if isinstance(a, tuple) != isinstance(b, tuple):
        return False
    if isinstance(a, tuple):
        return same(a[0], b[0]) and np.float32(a[1]) == np.float32(b[1]) and a[2] == b[2]
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def compare(chain: Chain, one: Any, other: Any) -> None:
    """Runs both on two feeds, the second of another batch size; exits with the first blob that differs."""
    for seed, batch in ((1, 1), (2, 3)):
        feed = chain.feed(seed, batch)
        one.run(1, [feed])
        other.run(1, [feed])
        mine, theirs = one.fetch(chain.blobs), other.fetch(chain.blobs)
        for blob in chain.blobs:
            if not same(mine[blob], theirs[blob]):
                sys.exit(f"{chain.name}: blob {blob} differs: {mine[blob]} and {theirs[blob]}")


def prepare(chain: Chain, runner: Any) -> None:
    runner.reset()
    runner.feed(chain.feed(0))
    runner.create(chain.net.SerializeToString())


def new_batch_cost(chain: Chain, runner: Any) -> float:
    """Microseconds an operator that a batch size never seen adds to the same size run again (median over sizes)."""
    prepare(chain, runner)
    sizes = np.random.default_rng(3).permutation(np.arange(2, 2 + BATCHES)).tolist()
    extra = []
    for size in sizes:
        first, *again = runner.run(4, [chain.feed(seed, size) for seed in range(4)])
        extra.append((first - statistics.median(again)) / len(chain.net.op) / 1000)
    return statistics.median(extra)


def contestants(threads: int) -> Iterator[Any]:
    yield ours.Ours(threads)
    if real_caffe2.available():
        yield real_caffe2.Caffe2(threads)


def measure(chain: Chain, runners: list[Any], args: Any, report: timing.Report, threads: int) -> None:
    for runner in runners:
        prepare(chain, runner)
    if len(runners) == 2:
        compare(chain, *runners)
    feeds = [chain.feed(seed) for seed in range(args.times)]
    samples = timing.take_turns({runner.name: partial(runner.run, feeds=feeds) for runner in runners},
                                args.rounds, args.times)
    report.samples(f"{chain.name}, {STEPS} steps, {threads} threads", samples, "serverquant", chain.bounds)
    per_step = samples["serverquant"].median * 1000 / STEPS
    report.bound("nanoseconds a step", per_step, 100 if chain.name == "relu" else None)
    for runner in runners:
        bound = 2 if runner.name == "serverquant" else None
        report.bound(f"{runner.name}: µs an operator for a new batch size", new_batch_cost(chain, runner), bound)


def main() -> int:
    args = timing.arguments(__doc__ or "").parse_args()
    report = timing.Report.start("Overhead of a step", args.json, real_caffe2.versions())
    for threads in args.threads:
        runners = list(contestants(threads))
        for chain in (relu_chain(), mixed_chain()):
            measure(chain, runners, args, report, threads)
        for runner in runners:
            runner.__exit__()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
