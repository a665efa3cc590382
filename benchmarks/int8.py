"""Int8 against the real Caffe2's engine DNNLOWP, in one run, taking turns: whole nets, an MLP; and embedding sums.

    python benchmarks/int8.py [--json] [--threads 1 2] [--rounds 10] [--times 10] [--only RE]

- ResNet-50 and MobileNetV2 (`nets/*_recipe_int8_fixed`), batch 1 and 8;
- an MLP 512-1024-1024-512-256-1, batch 1 and 64;
- sums of bags of 20 to 100 rows from tables of fused 8 and 4 bits, floats and halves: 64 bags of 32, 64 and 128 columns
  whose rows are in the caches, and 256 bags of 64 columns from a table beyond them, other rows each run.

Answers are compared before anything is timed: Int8 outputs byte for byte, floats within 1e-5 of the largest. Where they
differ (Caffe2's depthwise convolutions saturate) the row says so.
"""

from __future__ import annotations

import itertools
import re
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timing
from peers import ours, real_caffe2

from serverquant.proto import Argument, NetDef, OperatorDef

sys.path.insert(0, str(timing.ROOT / "nets"))
import cases

NET_BOUND, EMBEDDING_BOUND = 0.9, 1.0
WIDTHS = (512, 1024, 1024, 512, 256, 1)
# Name -> rows of the table, columns, type of the indices, bags, sets of indices that take turns.
SUMS = {"32 columns, cached": (100_000, 32, np.int32, 64, 1), "64 columns, cached": (100_000, 64, np.int64, 64, 1),
        "128 columns, cached": (100_000, 128, np.int64, 64, 1), "64 columns": (1_000_000, 64, np.int64, 256, 24)}
TABLES = {"8 bits": ("Fused8BitRowwise", np.float32), "4 bits": ("Fused4BitRowwise", np.float16),
          "float": ("", np.float32), "half": ("", np.float16)}


@dataclass(frozen=True)
class Mark:
    """A net with its feeds and outputs, and the largest ratio of our time to Caffe2's.

    turns: feeds of which each run takes the next, outside the clock.
    """

    init: Path | bytes | None
    net: Path | bytes
    feeds: dict[str, Any]
    outputs: list[str]
    bound: float
    turns: list[dict[str, Any]] = field(default_factory=list)


def marks() -> dict[str, Callable[[], Mark]]:
    """Name -> what makes it: the largest tables are made one at a time."""
    found: dict[str, Callable[[], Mark]] = {}
    for net in ("resnet50_recipe_int8_fixed", "mobilenet_v2_recipe_int8_fixed"):
        found |= {f"{net}, batch {batch}": partial(whole_net, net, batch) for batch in (1, 8)}
    found |= {f"MLP, batch {batch}": partial(mlp, batch) for batch in (1, 64)}
    return found | {f"SparseLengthsSum, {table}, {shape}": partial(embedding, table, shape)
                    for table in TABLES for shape in SUMS}


def whole_net(name: str, batch: int) -> Mark:
    """A stored net."""
    case = cases.case(name)
    feeds = {k: np.concatenate([v[:1]] * batch) for k, v in case.inputs().items()}
    return Mark(case.init_path(), case.predict_path, feeds, [case.answers()[0].blob], NET_BOUND)


def mlp(batch: int) -> Mark:
    """Fully connected layers with Relu on bytes, weights packed by the init net."""
    rng = np.random.default_rng(1)
    feeds: dict[str, Any] = {"x0": (rng.integers(0, 256, (batch, WIDTHS[0]), np.uint8), 0.02, 128)}
    init, net = NetDef(name="mlp_init"), NetDef(name="mlp")
    for i, (k, n) in enumerate(itertools.pairwise(WIDTHS)):
        feeds[f"w{i}"] = rng.normal(0, k**-0.5, (n, k)).astype(np.float32)
        feeds[f"b{i}"] = rng.normal(0, 0.1, n).astype(np.float32)
        last = n == WIDTHS[-1]
        net.op.append(OperatorDef(type="Int8FC" if last else "Int8FCRelu", engine="DNNLOWP",
                                  input=[f"x{i}", f"w{i}", f"b{i}"], output=[f"x{i + 1}"],
                                  arg=[Argument(name="Y_scale", f=0.03), Argument(name="Y_zero_point", i=100)]))
    net.external_input.extend(feeds)
    outputs = [f"x{len(WIDTHS) - 1}"]
    return Mark(init.SerializeToString(), net.SerializeToString(), feeds, outputs, NET_BOUND)


def embedding(table: str, shape: str) -> Mark:
    """Sums of rows of a table; one of its rows has scale and bias behind its values if it is fused."""
    rng = np.random.default_rng(1)
    rows, columns, index, bags, sets = SUMS[shape]
    form, dtype = TABLES[table]
    if form:
        values = rng.integers(0, 256, (rows, columns * int(table[0]) // 8), np.uint8)
        tail = np.stack([rng.uniform(0.001, 0.01, rows), rng.normal(0, 0.5, rows)], 1)
        data = np.concatenate([values, tail.astype(dtype).view(np.uint8).reshape(rows, -1)], 1)
    else:
        data = rng.normal(0, 1, (rows, columns)).astype(dtype)
    lengths = rng.integers(20, 101, bags, np.int32)
    turns = [{"indices": rng.integers(0, rows, lengths.sum(), index)} for _ in range(sets)]
    feeds = {"table": data, **turns[0], "lengths": lengths}
    op = OperatorDef(type=f"SparseLengthsSum{form}", input=list(feeds), output=["sums"])
    net = NetDef(name="sums", op=[op], external_input=list(feeds))
    return Mark(None, net.SerializeToString(), feeds, ["sums"], EMBEDDING_BOUND, turns if sets > 1 else [])


def difference(one: Any, other: Any) -> str:
    """How two outputs differ; "" when they count as the same."""
    (a, *scale), (b, *other_scale) = (v if isinstance(v, tuple) else (v,) for v in (one, other))
    if not scale:
        return "" if np.allclose(a, b, rtol=0, atol=1e-5 * float(np.abs(b).max())) else "floats differ"
    if scale != other_scale:
        return "parameters differ"
    return "" if np.array_equal(a, b) else f"{np.count_nonzero(a != b)} of {a.size} bytes differ"


def prepare(side: Any, mark: Mark) -> dict[str, Any]:
    """Net and blobs in their places; the outputs of a first run."""
    side.reset()
    if mark.init:
        side.init(mark.init)
    side.feed(mark.feeds)
    side.create(mark.net)
    side.run(1)
    return dict(side.fetch(mark.outputs))


def measure(report: timing.Report, what: str, mark: Mark, threads: int, args: Namespace) -> None:
    """Compares the outputs of both, then their times."""
    with ExitStack() as stack:
        sides: dict[str, Any] = {"serverquant": stack.enter_context(ours.Ours(threads))}
        if real_caffe2.available():
            sides["Caffe2"] = stack.enter_context(real_caffe2.Caffe2(threads))
        answers = {name: prepare(side, mark) for name, side in sides.items()}
        for blob in mark.outputs if "Caffe2" in sides else ():
            why = difference(answers["serverquant"][blob], answers["Caffe2"][blob])
            report.add("same" if not why else "differs", net=what, blob=blob, how=why or "-")
        runs = {name: partial(side.run, feeds=mark.turns) for name, side in sides.items()}
        samples = timing.take_turns(runs, args.rounds, args.times)
    report.samples(what, samples, "serverquant", {"Caffe2": mark.bound})


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--only", default="", metavar="RE", help="only marks whose names match")
    args = parser.parse_args()
    report = timing.Report.start("Int8 against engine DNNLOWP", args.json, real_caffe2.versions())
    for name in filter(re.compile(args.only).search, marks()):
        mark = marks()[name]()
        for threads in args.threads:
            measure(report, f"{name}, {threads} threads", mark, threads, args)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
