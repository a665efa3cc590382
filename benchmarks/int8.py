"""Int8 against the real Caffe2's engine DNNLOWP, in one run, taking turns: whole nets, an MLP, embedding sums.

    python benchmarks/int8.py [--json] [--threads 1 2] [--rounds 10] [--times 10] [--only RE]

- ResNet-50 and MobileNetV2 (`nets/*_recipe_int8_fixed`), batch 1 and 8;
- an MLP 512-1024-1024-512-256-1, batch 1 and 64;
- sums of 64 bags of 40 rows from fused tables of 100,000 rows and 64 columns, 8 and 4 bits.

Answers are compared before anything is timed: Int8 outputs byte for byte, floats within 1e-5 of the largest. Where they
differ (Caffe2's depthwise convolutions saturate) the row says so.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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
ROWS, COLUMNS, BAGS, BAG = 100_000, 64, 64, 40


@dataclass(frozen=True)
class Mark:
    """A net with its feeds and outputs, and the largest ratio of our time to Caffe2's."""

    name: str
    init: Path | bytes | None
    net: Path | bytes
    feeds: dict[str, Any]
    outputs: list[str]
    bound: float


def marks() -> Iterator[Mark]:
    for name in ("resnet50_recipe_int8_fixed", "mobilenet_v2_recipe_int8_fixed"):
        case = cases.case(name)
        for batch in (1, 8):
            feeds = {k: np.concatenate([v[:1]] * batch) for k, v in case.inputs().items()}
            outputs = [case.answers()[0].blob]
            yield Mark(f"{name}, batch {batch}", case.init_path(), case.predict_path, feeds, outputs, NET_BOUND)
    yield from (mlp(batch) for batch in (1, 64))
    yield from (embedding(bits) for bits in (8, 4))


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
    return Mark(f"MLP, batch {batch}", init.SerializeToString(), net.SerializeToString(), feeds, outputs, NET_BOUND)


def embedding(bits: int) -> Mark:
    """Sums of rows of a fused table."""
    rng = np.random.default_rng(bits)
    values = rng.integers(0, 256, (ROWS, COLUMNS * bits // 8), np.uint8)
    tail = np.stack([rng.uniform(0.001, 0.01, ROWS), rng.normal(0, 0.5, ROWS)], 1)
    tail = tail.astype(np.float32 if bits == 8 else np.float16).view(np.uint8).reshape(ROWS, -1)
    feeds = {"table": np.concatenate([values, tail], 1), "indices": rng.integers(0, ROWS, BAGS * BAG, np.int64),
             "lengths": np.full(BAGS, BAG, np.int32)}
    op = OperatorDef(type=f"SparseLengthsSumFused{bits}BitRowwise", input=list(feeds), output=["sums"])
    net = NetDef(name=f"sums{bits}", op=[op], external_input=list(feeds))
    return Mark(f"SparseLengthsSum, {bits} bits", None, net.SerializeToString(), feeds, ["sums"], EMBEDDING_BOUND)


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


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--only", default="", metavar="RE", help="only marks whose names match")
    args = parser.parse_args()
    report = timing.Report.start("Int8 against engine DNNLOWP", args.json, real_caffe2.versions())
    for mark in marks():
        for threads in args.threads if re.search(args.only, mark.name) else ():
            with ours.Ours(threads) as own:
                sides = {"serverquant": own}
                answers = {"serverquant": prepare(own, mark)}
                if real_caffe2.available():
                    sides["Caffe2"] = real_caffe2.Caffe2(threads)
                    answers["Caffe2"] = prepare(sides["Caffe2"], mark)
                    for name in mark.outputs:
                        why = difference(answers["serverquant"][name], answers["Caffe2"][name])
                        report.add("same" if not why else "differs", net=mark.name, blob=name, how=why or "-")
                samples = timing.take_turns({n: s.run for n, s in sides.items()}, args.rounds, args.times)
                if "Caffe2" in sides:
                    sides["Caffe2"].close()
            report.samples(f"{mark.name}, {threads} threads", samples, "serverquant", {"Caffe2": mark.bound})
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
