"""Runs trials in a process of its own, which may crash: `test_operators.py` watches.

    python tests/fuzz/child.py NOTE_FILE ROOM TRIAL ...    what is wrong, one JSON list [trial, what] a line
    python tests/fuzz/child.py --show TRIAL                one trial, shown and run

The name of the trial at work is in NOTE_FILE. ROOM: bytes of address space that trials may take beyond what there is; 0
for any.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import resource
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "golden")]

from trials import Trial, trial  # noqa: E402

import serverquant.ops  # noqa: E402, F401 - makes the built-in operators known
from serverquant._base import _threads  # noqa: E402
from serverquant._base.errors import OperatorError, ServerquantError  # noqa: E402
from serverquant.runtime.options import options  # noqa: E402
from serverquant.runtime.workspace import Workspace  # noqa: E402

SECONDS = 10  # that a trial may take; most take less than a millisecond
GROWTH = 900 << 20  # bytes of memory that one trial may take
NOTE_BYTES = 200


options.max_loop_iterations = 1000


def run(made: Trial) -> None:
    space = Workspace(root_folder=tempfile.gettempdir())
    if made.init:
        space.run_once(made.init)
    net = None
    for feeds in made.feeds:
        for name, value in feeds.items():
            space.create(name).feed(value)
        if net is None:
            net = space.create_net(made.net)
        try:
            net.run()
        except ServerquantError as error:
            if fault := unclear(error):
                raise AssertionError(fault) from error


def unclear(error: ServerquantError) -> str:
    """What is wrong with an error, or ""."""
    if isinstance(error, OperatorError) and error.__cause__ is not None:
        return f"an accident, not a check: {error}"
    if not error.place:
        return f"no place: {error}"
    return ""


def verdict(name: str) -> str:
    """What is wrong with a trial, or ""."""
    made, before, fault = trial(name), peak(), ""
    try:
        run(made)
    except ServerquantError as error:
        fault = unclear(error)
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    grown = peak() - before
    return fault or (f"took {grown:,} bytes" if grown > GROWTH else "")


def peak() -> int:
    """The most memory that the process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit_memory(room: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not room:
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(note_file: str, room: str, *names: str) -> None:
    if names == ("-",):
        names = tuple(sys.stdin.read().split())
    warnings.simplefilter("ignore")
    faulthandler.enable()
    _threads.set_num_threads(2)
    note = mmap.mmap(os.open(note_file, os.O_RDWR), NOTE_BYTES)
    if names:
        trial(names[0])  # what all trials share is loaded before memory and time are counted
    limit_memory(int(room))
    for name in names:
        note[:] = name.encode().ljust(NOTE_BYTES)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        wrong = verdict(name)
        faulthandler.cancel_dump_traceback_later()
        if wrong:
            print(json.dumps([name, wrong[:1000]]), flush=True)
    note[:] = b" " * NOTE_BYTES


if __name__ == "__main__":
    if sys.argv[1] == "--show":
        made = trial(sys.argv[2])
        print(made, flush=True)
        run(made)
    else:
        main(*sys.argv[1:])
