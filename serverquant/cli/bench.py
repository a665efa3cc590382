"""Time a net, its operators and their types; or one operator from a line of `serverquant explain --lines`.

serverquant bench init_net.pb predict_net.pb --shape data=1x3x224x224 --runs 50 --trace trace.json
serverquant bench --op 'op { type: "Relu" input: "x" output: "y" } | x=float32:1x64x56x56:-1..1'
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

from serverquant._base.errors import ArgumentError


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import nets

    nets.arguments(parser, optional=True)
    parser.add_argument("--op", metavar="LINE", help="time one operator from its line")
    parser.add_argument("--runs", type=int, default=30, help="timed runs (default 30)")
    parser.add_argument("--warmup", type=int, default=3, help="runs before them (default 3)")
    parser.add_argument(
        "--by", choices=("net", "type", "operator"), default="operator", help="how fine (default: operator)"
    )
    parser.add_argument("--trace", metavar="FILE", help="write a trace for chrome://tracing or Perfetto (.json)")
    parser.add_argument("--memory", action="store_true", help="list the blobs that operators write, the largest first")


def main(args: argparse.Namespace) -> int:
    from serverquant._base import _isa, _threads
    from serverquant.cli import show

    if args.runs < 1 or args.warmup < 0:
        raise ArgumentError("--runs must be 1 or more, and --warmup 0 or more")
    found = _one_operator(args) if args.op else _whole_net(args)
    found |= {"isa": _isa.current(), "threads": _threads.get_num_threads(), "runs": args.runs}
    if args.json:
        show.as_json(found)
        return 0
    print(
        f"{found['name']}: median {found['median_us']:.1f} us, least {found['least_us']:.1f}, middle half "
        f"{found['lower_us']:.1f} to {found['upper_us']:.1f}; {found['runs']} runs, {found['isa']}, "
        f"up to {found['threads']} threads"
    )
    for key in ("types", "operators"):
        if key in found:
            print()
            _print_parts(found[key])
    if "blobs" in found:
        print()
        rows = [(b["name"], b["type"], b["what"], b["bytes"], b["place"]) for b in found["blobs"]]
        show.table(("blob", "written by", "what", "bytes", "place"), rows, right=("bytes", "place"))
    return 0


def _print_parts(parts: list[dict[str, Any]]) -> None:
    from serverquant.cli import show

    total = sum(p["median_us"] for p in parts) or 1.0
    rows = [
        (p["name"], f"{p['median_us']:.1f}", f"{p['least_us']:.1f}", f"{p['median_us'] / total:.1%}", _rate(p))
        for p in parts
    ]
    show.table(
        ("part", "median us", "least us", "share", "GOPS"), rows, right=("median us", "least us", "share", "GOPS")
    )


def _rate(part: dict[str, Any]) -> str:
    """Multiplications and additions, counted as 2, in billions a second."""
    return f"{2e-3 * part['multiply_adds'] / part['median_us']:.1f}" if part.get("multiply_adds") else ""


def _whole_net(args: argparse.Namespace) -> dict[str, Any]:
    from serverquant.cli import nets
    from serverquant.runtime.observe import observe

    if args.init is None:
        raise ArgumentError("give INIT_NET and PREDICT_NET, or --op LINE")
    net = nets.open_net(args)
    net(nets.inputs(args, net))
    found: dict[str, Any] = {"name": f'net "{net.name}"', **_summary(_timed(net.net.run, args, net.name))}
    with observe(net) as profile:
        for _ in range(args.runs):
            net.net.run()
    if args.trace:
        profile.save(args.trace)
    if args.memory:
        found["blobs"] = [
            {"name": s.blob, "type": s.type, "what": repr(s.spec), "bytes": s.nbytes, "place": s.place}
            for s in sorted(profile.memory(), key=lambda size: -size.nbytes)
        ]
    if args.by != "net":
        runs = [[timing.nanoseconds for timing in run.operators] for run in profile.runs]
        parts = sorted(nets.planned(net), key=lambda part: part.index)
        if args.by == "operator":
            found["operators"] = [
                {
                    "name": f"{p.index} {p.operator.type} {p.operator.outputs[0] if p.operator.outputs else ''}",
                    "multiply_adds": p.multiply_adds,
                    **_summary(list(taken)),
                }
                for p, taken in zip(parts, zip(*runs))
            ]
        found["types"] = _by_type(parts, runs)
    return found


def _by_type(parts: list[Any], runs: list[list[int]]) -> list[dict[str, Any]]:
    """A row for each type, the slowest first: the sum over its operators in each run."""
    rows = []
    for kind in dict.fromkeys(p.operator.type for p in parts):
        mine = [i for i, p in enumerate(parts) if p.operator.type == kind]
        rows.append(
            {
                "name": f"{len(mine)} {kind}",
                "multiply_adds": sum(parts[i].multiply_adds for i in mine),
                **_summary([sum(run[i] for i in mine) for run in runs]),
            }
        )
    return sorted(rows, key=lambda row: -row["median_us"])


def _one_operator(args: argparse.Namespace) -> dict[str, Any]:
    from serverquant._base import _threads
    from serverquant.cli import replay

    if args.threads is not None:
        _threads.set_num_threads(args.threads)
    net, index = replay.prepare(args.op, args.seed)
    net.run()
    times = [net.run_timed()[index] for _ in range(args.warmup + args.runs)][args.warmup :]
    kernel = [step.kernel for plan in net.last_plans for step, _, _ in plan.steps_python][index]
    return {"name": f"{net.operators[index].type} ({kernel})", "kernel": kernel, **_summary(times)}


def _timed(run: Callable[[], None], args: argparse.Namespace, what: str) -> list[int]:
    from serverquant.cli import show

    taken = []
    with show.progress(what, args.warmup + args.runs) as advance:
        for _ in range(args.warmup + args.runs):
            began = time.perf_counter_ns()
            run()
            taken.append(time.perf_counter_ns() - began)
            advance()
    return taken[args.warmup :]


def _summary(taken_ns: list[int]) -> dict[str, float]:
    taken = sorted(t / 1e3 for t in taken_ns)
    lower, middle, upper = statistics.quantiles(taken, n=4) if len(taken) > 1 else taken * 3
    return {"median_us": middle, "least_us": taken[0], "lower_us": lower, "upper_us": upper}
