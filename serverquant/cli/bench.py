"""Time a net: whole, by operator type, by operator; or one operator from a line that explain prints.

Times are medians after a warm-up, with the quartiles' spread. These are times of this machine in its present state:
compare only what was measured side by side.
"""

from __future__ import annotations

import argparse
import collections
import json
import time
from typing import Any

import numpy as np

from serverquant._base import _threads
from serverquant._base.errors import ArgumentError
from serverquant.cli import nets, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("nets", nargs="*", metavar="NET", help="init net and predict net, or one MetaNetDef")
    nets.add_feeds(parser)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--op", metavar="LINE", help="replay one operator: a line that explain prints")


def run(args: argparse.Namespace) -> None:
    if args.threads:
        _threads.set_num_threads(args.threads)
    if args.runs < 1 or args.warmup < 0:
        raise ArgumentError("--runs must be at least 1 and --warmup at least 0")
    report = bench_operator(args) if args.op else bench_net(args)
    if args.json:
        show.print_json(report)
        return
    print(f"{report['what']}, {_threads.get_num_threads()} threads: median {report['median_ms']:.3f} ms, "
          f"quartiles {report['quartiles_ms'][0]:.3f} to {report['quartiles_ms'][1]:.3f}, {args.runs} runs")
    for title in ("by type", "by operator"):
        if title in report:
            total = sum(report[title].values()) or 1.0
            rows = [(name, f"{ms:.4f}", f"{ms / total:.1%}") for name, ms in report[title].items()]
            show.print_table([title, "ms", "share"], rows)


def spread(times: list[float]) -> dict[str, Any]:
    low, middle, high = np.percentile(times, [25, 50, 75])
    return {"median_ms": float(middle), "quartiles_ms": [float(low), float(high)], "runs": len(times)}


def timed(net: Any, warmup: int, runs: int) -> list[float]:
    times = []
    for i in show.progress(range(warmup + runs), "runs"):
        began = time.perf_counter()
        net.run()
        if i >= warmup:
            times.append((time.perf_counter() - began) * 1e3)
    return times


def bench_net(args: argparse.Namespace) -> dict[str, Any]:
    if not args.nets:
        raise ArgumentError("give an init net and a predict net, or --op")
    with nets.load_net(args) as predict:
        predict(nets.feeds(args, predict))
        net = predict.net
        report = {"what": f"net {predict.name}", **spread(timed(net, args.warmup, args.runs))}
        each = np.median([net.run_timed() for _ in range(max(3, args.runs // 5))], axis=0) / 1e6
        by_type: collections.Counter[str] = collections.Counter()
        for op, ms in zip(net.operators, each):
            by_type[op.type] += float(ms)
        report["by type"] = dict(by_type.most_common())
        report["by operator"] = {f"{op.definition.index} {op.type}": float(ms) for op, ms in zip(net.operators, each)}
    return report


def bench_operator(args: argparse.Namespace) -> dict[str, Any]:
    from serverquant.cli.explain import replay

    try:
        line = json.loads(args.op)
    except json.JSONDecodeError as error:
        raise ArgumentError(f"--op takes a line that `serverquant explain` prints: {error}") from error
    net = replay(line)
    net.run()
    return {"what": f"operator {line['type']}", **spread(timed(net, args.warmup, args.runs))}
