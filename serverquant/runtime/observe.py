"""Watching nets run: time of every operator, as a table or a trace, and memory of every blob.

    with serverquant.observe(predict) as profile:
        predict(images)
    print(profile)                  # a row for each operator
    profile.save("trace.json")      # for chrome://tracing or ui.perfetto.dev

A net that is watched runs by another method, which takes native timestamps; one that is not pays nothing.

`on_creation` is for those who watch all nets of a process.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, INT8, TENSOR, Spec
from serverquant.runtime._plan import Plan
from serverquant.runtime.operator import Operator


@dataclass(frozen=True)
class Timing:
    """One operator in one run. begin, end: nanoseconds of the monotonic clock. thread: 0 is the caller's."""

    index: int
    type: str
    name: str
    outputs: tuple[str, ...]
    kernel: str
    begin: int
    end: int
    thread: int

    @property
    def nanoseconds(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True)
class Run:
    """One run of a net: when it began and ended, and its operators in the order of the net."""

    net: str
    begin: int
    end: int
    operators: list[Timing]


class Observer(Protocol):
    """What `attach` takes: told of every run once it is over. parts: (plan, its stamps), see Plan.run_stamped.

    With a method `closed(net)` it is told too when the net's workspace forgets the net.
    """

    def ran(self, net: Any, begin: int, end: int, parts: list[tuple[Plan, Any]]) -> None: ...


class Watcher(Observer, Protocol):
    """An observer that also sees what each operator wrote, right after it ran. The net then runs on the caller's
    thread, operator by operator; kernels use their threads."""

    def wrote(self, operator: Operator, blobs: list[Blob]) -> None:
        """blobs: the operator's outputs, in order. In a planned net their memory is soon used again, and they have the
        names of places: `operator.outputs` has those of the net. An exception ends the run."""


# Called with every net that a workspace creates by name or to run it once, before its first run. Single operators, nets
# inside operators and the nets of a Predictor are none of these.
on_creation: list[Callable[[Any], None]] = []


class Profile:
    """An observer that keeps times and sizes.

    runs: all runs so far, oldest first. One profile may watch several nets, and a Predictor in several threads.
    """

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._last: dict[str, list[Plan]] = {}

    def ran(self, net: Any, begin: int, end: int, parts: list[tuple[Plan, Any]]) -> None:
        timings = [
            Timing(
                op.definition.index, op.type, op.definition.name, op.outputs, step.kernel, int(at), int(to), int(thread)
            )
            for plan, stamps in parts
            for op, (step, _, _), (at, to, thread) in zip(plan.operators, plan.steps_python, stamps)
        ]
        self._last[net.name] = [plan for plan, _ in parts]
        self.runs.append(Run(net.name, begin, end, sorted(timings, key=lambda t: t.index)))

    # ---- time -----------------------------------------------------------------------------------------------------

    def rows(self, by: str = "operator") -> list[Row]:
        """Times added up by "operator" (in the order of the nets) or by "type" (the slowest first)."""
        if by not in ("operator", "type"):
            raise ValueError(f'by must be "operator" or "type", not {by!r}')
        found: dict[tuple[str, Any], Row] = {}
        for run in self.runs:
            sums: dict[tuple[str, Any], int] = {}
            for timing in run.operators:
                key = run.net, timing.index if by == "operator" else timing.type
                sums[key] = sums.get(key, 0) + timing.nanoseconds
                found.setdefault(key, Row(run.net, timing, by)).operators.add(timing.index)
            for key, taken in sums.items():
                found[key].nanoseconds.append(taken)
        rows = list(found.values())
        return rows if by == "operator" else sorted(rows, key=lambda row: -sum(row.nanoseconds))

    def table(self, by: str = "operator") -> str:
        """The rows as text."""
        rows = self.rows(by)
        total = sum(row.median for row in rows) or 1.0
        cells = [
            (r.label, r.kernel, str(len(r.nanoseconds)), us(r.median), us(r.least), f"{r.median / total:.1%}")
            for r in rows
        ]
        return _columns((by, "kernel", "runs", "median us", "least us", "share"), cells)

    def __str__(self) -> str:
        return self.table() if self.runs else "nothing has run yet"

    def __repr__(self) -> str:
        nets = ", ".join(dict.fromkeys(run.net for run in self.runs))
        return f"<Profile: {len(self.runs)} runs{' of ' + nets if nets else ''}>"

    # ---- memory ---------------------------------------------------------------------------------------------------

    def memory(self) -> list[Size]:
        """What every operator wrote in the last run of each net. In a planned net blobs share places: those with the
        same number lie in the same memory, one after the other."""
        found: list[Size] = []
        for net, plans in self._last.items():
            places: dict[int, int] = {}
            for plan in plans:
                for op, (_, _, blobs), specs in zip(plan.operators, plan.steps_python, plan.output_specs()):
                    for name, blob, spec in zip(op.outputs, blobs, specs):
                        spec = blob.spec() if spec.kind == EMPTY else spec
                        found.append(Size(net, name, op.type, spec, places.setdefault(id(blob), len(places))))
        return found

    def memory_table(self) -> str:
        """The sizes as text, the largest first."""
        sizes = sorted(self.memory(), key=lambda size: -size.nbytes)
        cells = [(s.blob, s.type, repr(s.spec), str(s.nbytes), str(s.place)) for s in sizes]
        return _columns(("blob", "written by", "what", "bytes", "place"), cells)

    # ---- trace ----------------------------------------------------------------------------------------------------

    def trace(self) -> dict[str, Any]:
        """All runs in the Trace Event Format of Chrome and Perfetto."""
        pid = os.getpid()
        events: list[dict[str, Any]] = []
        for thread in sorted({t.thread for run in self.runs for t in run.operators}):
            name = "caller" if thread == 0 else f"worker {thread}"
            events.append({"ph": "M", "name": "thread_name", "pid": pid, "tid": thread, "args": {"name": name}})
        for run in self.runs:
            events.append(_event(run.net, "net", pid, 0, run.begin, run.end, {}))
            events += [
                _event(t.type, "operator", pid, t.thread, t.begin, t.end, _facts(t)) for t in run.operators
            ]
        return {"traceEvents": events, "displayTimeUnit": "ns"}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace as JSON."""
        Path(path).write_text(json.dumps(self.trace()))


@dataclass
class Row:
    """Times of one operator, or of all of one type together, one for each run."""

    net: str
    first: Timing
    by: str
    nanoseconds: list[int] = field(default_factory=list)
    operators: set[int] = field(default_factory=set)

    @property
    def label(self) -> str:
        if self.by == "type":
            return f"{len(self.operators)} {self.first.type}"
        shown = self.first.name or (self.first.outputs[0] if self.first.outputs else "")
        return f"{self.first.index} {self.first.type} {shown}".rstrip()

    @property
    def kernel(self) -> str:
        return self.first.kernel if self.by == "operator" else ""

    @property
    def median(self) -> float:
        """Nanoseconds."""
        return statistics.median(self.nanoseconds)

    @property
    def least(self) -> int:
        return min(self.nanoseconds)


@dataclass(frozen=True)
class Size:
    """A blob as an operator wrote it. place: blobs of one net with equal places lie in the same memory."""

    net: str
    blob: str
    type: str
    spec: Spec
    place: int

    @property
    def nbytes(self) -> int:
        return self.spec.nbytes if self.spec.kind in (TENSOR, INT8) and self.spec.dtype != dtypes.STRING else 0


@contextlib.contextmanager
def observe(net: Any, observer: Any = None) -> Iterator[Any]:
    """Watch a net, or a Predictor, inside a `with` block. Gives the observer: a new Profile, unless one is given."""
    watching = Profile() if observer is None else observer
    net.attach(watching)
    try:
        yield watching
    finally:
        net.detach(watching)


def us(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e3:.1f}"


def _event(name: str, kind: str, pid: int, tid: int, begin: int, end: int, args: dict[str, Any]) -> dict[str, Any]:
    """A complete event; microseconds."""
    times = {"ts": begin / 1e3, "dur": (end - begin) / 1e3}
    return {"ph": "X", "name": name, "cat": kind, "pid": pid, "tid": tid, **times, "args": args}


def _facts(timing: Timing) -> dict[str, Any]:
    return {"op": timing.index, "name": timing.name, "outputs": list(timing.outputs), "kernel": timing.kernel}


def _columns(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Text in columns: the first two to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(headers, *rows)]
    lines = [
        "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
        for row in [headers, *rows]
    ]
    return "\n".join(lines)
