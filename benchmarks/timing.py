"""What all benchmarks share: runs that take turns, medians with their spread, and a line about the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAUSE_S = 0.05  # lets the threads of the one before stop spinning
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "asimd")


@dataclass(frozen=True)
class Sample:
    """Times of one thing, in microseconds: median, least, and the middle half."""

    name: str
    runs: int
    median: float
    least: float
    lower: float
    upper: float

    @classmethod
    def of(cls, name: str, taken_ns: Sequence[int]) -> Sample:
        taken = sorted(ns / 1000 for ns in taken_ns)
        lower, _, upper = statistics.quantiles(taken, n=4) if len(taken) > 1 else taken * 3
        return cls(name, len(taken), statistics.median(taken), taken[0], lower, upper)


def take_turns(runs: dict[str, Callable[[int], Sequence[int]]], rounds: int, times: int) -> dict[str, Sample]:
    """Lets each in turn run `times` times, for so many rounds, starting with another one each round.

    runs: name -> function of a number of runs that returns the nanoseconds of each. One run before each turn warms
    caches and threads up and is not counted.
    """
    names, taken = list(runs), {name: list[int]() for name in runs}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(PAUSE_S)
            runs[name](1)
            taken[name] += runs[name](times)
    return {name: Sample.of(name, taken[name]) for name in names}


def timed(work: Callable[[], object]) -> Callable[[int], list[int]]:
    """A function for `take_turns` out of one that does the work once."""

    def run(times: int) -> list[int]:
        taken = []
        for _ in range(times):
            start = time.perf_counter_ns()
            work()
            taken.append(time.perf_counter_ns() - start)
        return taken

    return run


def machine() -> dict[str, Any]:
    """CPU, its instruction sets that matter, cores usable, Python, and how busy the machine is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if value}
    flags = said.get("flags", said.get("Features", "")).split()
    return {"cpu": said.get("model name", platform.processor() or platform.machine()),
            "isa": [flag for flag in FLAGS if flag in flags], "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(), "load": round(os.getloadavg()[0], 2)}


@dataclass
class Report:
    """Collects the rows of a benchmark; prints them as they come, or all at the end as JSON."""

    title: str
    as_json: bool
    rows: list[dict[str, Any]]

    @classmethod
    def start(cls, title: str, as_json: bool, versions: Sequence[str] = ()) -> Report:
        report = cls(title, as_json, [])
        report.say(title)
        report.add("machine", **machine(), versions=list(versions))
        return report

    def say(self, line: str) -> None:
        if not self.as_json:
            print(line, flush=True)

    def add(self, kind: str, **facts: Any) -> None:
        self.rows.append({"kind": kind, **facts})
        self.say(f"  {kind}: " + ", ".join(f"{key} {value}" for key, value in facts.items()))

    def samples(self, what: str, samples: dict[str, Sample], ours: str, bounds: dict[str, float] | None = None) -> None:
        """Rows of one comparison: every sample, and the ratio of our median to each other one, with its bound."""
        self.say(f"\n{what}")
        for sample in samples.values():
            self.rows.append({"kind": "time_us", "what": what, **asdict(sample)})
            middle = f"{sample.lower:.1f} to {sample.upper:.1f}, least {sample.least:.1f}, {sample.runs} runs"
            self.say(f"  {sample.name:32} {sample.median:12.1f} µs   ({middle})")
        for other in [name for name in samples if name != ours and ours in samples]:
            self.bound(f"{ours} / {other}", samples[ours].median / samples[other].median, (bounds or {}).get(other))

    def bound(self, name: str, value: float, bound: float | None = None) -> None:
        """A row of one number, and whether it is at most its bound."""
        self._row(name, value, bound, "at most", bound is None or value <= bound)

    def at_least(self, name: str, value: float, bound: float) -> None:
        """A row of one number, and whether it is at least its bound."""
        self._row(name, value, bound, "at least", value >= bound)

    def _row(self, name: str, value: float, bound: float | None, words: str, met: bool) -> None:
        self.rows.append({"kind": "value", "name": name, "value": value, "bound": bound, "met": met})
        wanted = "" if bound is None else f"   {words} {bound:g}: {'met' if met else 'NOT MET'}"
        self.say(f"  {name:48} {value:10.3f}{wanted}")

    def close(self) -> int:
        """Prints the JSON if that was asked for. The exit status: 1 where a bound was not met."""
        if self.as_json:
            json.dump({"title": self.title, "rows": self.rows}, sys.stdout, indent=1)
            print()
        return int(any(row.get("met") is False for row in self.rows))


def arguments(doc: str) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each contestant (default: 10)")
    parser.add_argument("--times", type=int, default=10, help="runs a turn (default: 10)")
    return parser
