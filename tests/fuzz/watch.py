"""Watches processes that run trials: a crash, a hang or too much memory is a finding, and the rest goes on.

    python tests/fuzz/watch.py [--types RE] [--first N] [--count N] [--room BYTES]     count: of each type

Under a build with -fsanitize=address (and libasan preloaded) a read or write outside of memory is a finding too; it
takes --room 0, since the sanitizer reserves terabytes of addresses.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
ROOM = 1 << 30  # bytes of address space that trials may take

Finding = tuple[str, str]  # the trial, and what is wrong


def findings(names: Sequence[str], workers: int = 2, child: Path = CHILD, room: int = ROOM) -> list[Finding]:
    """What is wrong with the trials of these names."""
    with ThreadPoolExecutor(workers) as pool:
        parts = pool.map(lambda i: _watch(list(names[i::workers]), child, room), range(workers))
        return sorted(finding for part in parts for finding in part)


def _watch(names: list[str], child: Path, room: int) -> list[Finding]:
    found: list[Finding] = []
    with tempfile.NamedTemporaryFile() as note:
        while names:
            note.seek(0)
            note.write(b" " * 200)
            note.flush()
            done = subprocess.run(
                [sys.executable, str(child), note.name, str(room), "-"],
                input="\n".join(names),
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            found += [tuple(json.loads(line)) for line in done.stdout.splitlines() if line.startswith("[")]
            name = Path(note.name).read_text().strip()
            if not name:
                if done.returncode:
                    raise RuntimeError(f"it ended with {done.returncode}, but in no trial: {done.stderr[-2000:]}")
                break
            found.append((name, f"the process ended with {done.returncode}: {done.stderr[-1000:]}"))
            names = names[names.index(name) + 1 :]
    return found


def drawable() -> list[str]:
    """All built-in operator types but Python, whose function is the user's, and so are its errors."""
    from serverquant.ops._index import MODULES

    return sorted(set(MODULES) - {"Python"})


def names(types: Sequence[str], first: int, count: int) -> list[str]:
    """Trials `first` <= number < first + count of each type."""
    return [f"{op_type}/{number}" for number in range(first, first + count) for op_type in types]


def report(found: Sequence[Finding]) -> str:
    lines = [f"{name}: {what}" for name, what in found]
    return "\n".join([*lines, "show one: python tests/fuzz/child.py --show NAME"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--types", default="", metavar="RE")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--room", type=int, default=ROOM, help="bytes of address space that trials may take; 0: any")
    args = parser.parse_args()
    types = [op_type for op_type in drawable() if re.search(args.types, op_type)]
    trials = names(types, args.first, args.count)
    found = findings(trials, room=args.room)
    print(f"{len(trials)} trials of {len(types)} types, {len(found)} findings")
    if found:
        print(report(found))
    return bool(found)


if __name__ == "__main__":
    sys.path[:0] = [str(CHILD.parents[2]), str(CHILD.parents[1] / "golden")]
    import serverquant.ops  # noqa: F401 - makes the built-in operators known

    sys.exit(main())
