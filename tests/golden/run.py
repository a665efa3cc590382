"""Runs golden cases on serverquant.

    python tests/golden/run.py [--family RE] [--threads 1 2 3 7] [--every N] [--json] [-v]

Prints how many cases agree per family (-v: what is wrong with the others), or with --json per thread count
{id: [what is wrong, digest of all our outputs]}. SERVERQUANT_ISA chooses the instruction set, as always. With more
than one thread the whole team works even on the smallest tensors, so that every split is tried.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import random
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import corpus

import serverquant.ops  # noqa: F401 - makes the built-in operators known
from serverquant._base import _isa, _threads
from serverquant._base.errors import ServerquantError
from serverquant.runtime.workspace import Workspace

SEED = 3
# Types that cases name an engine for which Caffe2 has not: its default runs them.
WITHOUT_ENGINE = {"Int8Flatten", "Int8ResizeNearest", "Softmax"}


@dataclass(frozen=True)
class Outcome:
    """What came of a case. wrong: why it does not agree, or "". digest: of every bit of our outputs."""

    wrong: str
    digest: str


def fetch(space: Workspace, name: str) -> corpus.Value:
    """A blob's value as the corpus has it."""
    value = space.fetch(name)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return list(value.ravel())
    return corpus.Int8(*value) if isinstance(value, tuple) else value


def feed(space: Workspace, inputs: dict[str, corpus.Value]) -> None:
    for name, value in inputs.items():
        if isinstance(value, corpus.Int8):
            space.create(name).feed_int8(value.data, value.scale, value.zero_point)
        else:
            space.create(name).feed(np.array(value, object) if isinstance(value, list) else value)


def run_steps(case: corpus.Case) -> list[dict[str, corpus.Value]]:
    """Our outputs of every step."""
    space, net, outputs = Workspace(), None, []
    if case.init:
        space.run_once(case.init)
    for step in case.steps():
        feed(space, step.inputs)
        net = net or space.create_net(case.net)
        net.run()
        outputs.append({name: fetch(space, name) for name in step.outputs})
    return outputs


def run(case: corpus.Case) -> Outcome:
    """Runs a case and judges it. Errors that serverquant raises on purpose count; others come through."""
    try:
        outputs = run_steps(case)
    except ServerquantError as error:
        return Outcome("" if case.error else f"{type(error).__name__}: {error}", type(error).__name__)
    if case.error:
        return Outcome(f"expected an error, as Caffe2 raises: {case.error}", digest(case, outputs))
    return Outcome(difference(case, outputs), digest(case, outputs))


def difference(case: corpus.Case, outputs: list[dict[str, corpus.Value]]) -> str:
    """The first output that does not agree, and why; "" if all do."""
    for number, (step, got) in enumerate(zip(case.steps(), outputs, strict=True)):
        for name, want in step.outputs.items():
            if why := corpus.compare(want, got[name], case.compare[name]):
                return f"step {number}, {name}: {why}"
    return ""


def digest(case: corpus.Case, outputs: list[dict[str, corpus.Value]]) -> str:
    """Of every bit, type, shape and parameter of the outputs; random data counts by type and shape alone."""
    state = hashlib.sha256()
    for name, value in (item for step in outputs for item in step.items()):
        array, *parameters = value if isinstance(value, corpus.Int8) else (np.asarray(value),)
        state.update(f"{name} {array.dtype} {array.shape} {parameters}".encode())
        state.update(b"" if case.compare[name]["mode"] == "shape" else array.tobytes())
    return state.hexdigest()[:16]


def chosen(family: str = "", every: int = 1) -> list[corpus.Case]:
    """The cases of matching families; of these one in `every`, picked by a seed."""
    cases = [case for case in corpus.cases() if re.search(family, case.family)]
    return cases if every == 1 else random.Random(SEED).sample(cases, len(cases) // every)


def run_all(cases: Iterable[corpus.Case], threads: int) -> dict[str, Outcome]:
    """Case id -> outcome with a team of so many threads."""
    _threads.set_num_threads(threads)
    _threads.force_teams(threads > 1)
    return {case.id: run(case) for case in cases}


def print_table(cases: list[corpus.Case], outcomes: dict[str, Outcome], verbose: bool) -> None:
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for case in cases:
        wrong = outcomes[case.id].wrong
        for family in (case.family, "all"):
            counts[family][0] += 1
            counts[family][1] += not wrong
        if wrong and verbose:
            print(f"{case.id}: {wrong}")
    for family, (total, agree) in sorted(counts.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"  {family:24} {agree:5} of {total:5}{'' if agree == total else '   <--'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="", help="regular expression")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--every", type=int, default=1, help="only one case in so many")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is wrong")
    args = parser.parse_args()
    cases = chosen(args.family, args.every)
    results = {threads: run_all(cases, threads) for threads in args.threads}
    if args.json:
        plain = {t: {name: [o.wrong, o.digest] for name, o in outcomes.items()} for t, outcomes in results.items()}
        print(json.dumps(plain))
    else:
        for threads, outcomes in results.items():
            print(f"{_isa.current()}, {threads} threads")
            print_table(cases, outcomes, args.verbose)
    return int(any(outcome.wrong for outcomes in results.values() for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
