"""Runs golden cases on serverquant: `python tests/golden/run.py [--family RE] [--threads N] [-v]`.

The library's instruction set is chosen by SERVERQUANT_ISA as always.
"""

from __future__ import annotations

import argparse
import collections
import re
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import corpus

from serverquant import workspace
from serverquant._base import _isa, _threads
from serverquant._base.errors import ServerquantError
from serverquant.runtime.workspace import Workspace


def fetch(space: Workspace, name: str) -> corpus.Value:
    """A blob's value as the corpus has it."""
    value = space.fetch(name)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return list(value.ravel())
    return corpus.Int8(*value) if isinstance(value, tuple) else value


def feed(space: Workspace, inputs: dict[str, corpus.Value]) -> None:
    for name, value in inputs.items():
        strings = isinstance(value, list)
        space.create(name).feed(np.array(value, object) if strings else value)


def check(case: corpus.Case) -> str:
    """What is wrong with our answers to a case, or ""."""
    space = Workspace()
    try:
        if case.init:
            space.run_once(case.init)
        net = None
        for step in case.steps():
            feed(space, step.inputs)
            net = net or space.create_net(case.net)
            net.run()
            for name, want in step.outputs.items():
                wrong = corpus.compare(want, fetch(space, name), case.compare[name])
                if wrong:
                    return f"{name}: {wrong}"
    except ServerquantError as error:
        return "" if case.error else f"{type(error).__name__}: {error}"
    return "expected an error, as Caffe2 raises" if case.error else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-v", action="store_true")
    args = parser.parse_args()
    _threads.set_num_threads(args.threads)
    _threads.force_teams(args.threads > 1)
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for case in corpus.cases():
        if not re.search(args.family, case.family):
            continue
        wrong = check(case)
        counts[case.family][0] += 1
        counts[case.family][1] += not wrong
        if wrong and args.v:
            print(f"{case.id}: {wrong}")
    print(f"{_isa.current()}, {args.threads} threads")
    for family, (cases, agree) in sorted(counts.items()):
        print(f"  {family:24} {agree:5} of {cases:5}{'' if agree == cases else '   <--'}")
    cases, agree = (sum(column) for column in zip(*counts.values()))
    print(f"  {'all':24} {agree:5} of {cases:5}")
    return int(agree != cases)


if __name__ == "__main__":
    assert workspace
    sys.exit(main())
