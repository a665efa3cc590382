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
import re
import resource
import sys
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "golden")]

from trials import Trial, Value, trial  # noqa: E402

import serverquant.ops  # noqa: E402, F401 - makes the built-in operators known
from serverquant._base import _threads  # noqa: E402
from serverquant._base.errors import OperatorError, ServerquantError  # noqa: E402
from serverquant.blobs._blob import Blob  # noqa: E402
from serverquant.blobs.spec import INT8, TENSOR  # noqa: E402
from serverquant.proto.wire import read_net  # noqa: E402
from serverquant.runtime.options import options  # noqa: E402
from serverquant.runtime.workspace import Workspace  # noqa: E402

Result = str | dict[str, tuple[Any, ...]]

SECONDS = 30  # that a trial may take; most take less than a millisecond
GROWTH = 900 << 20  # bytes of memory that one trial may take
NOTE_BYTES = 200


options.max_loop_iterations = 1000


# Not the same every time, or not alone on what they are fed.
STATEFUL = re.compile(r"Fill$|Rand|Accumulate|Iter|Count|Mutex|Atomic|Timer|Clock|Dropout|StatRegistry")


def run(made: Trial) -> None:
    """Feeds and runs one after the other on one net; what comes of the last is what comes of it on a net of its own."""
    fix = zlib.crc32(made.name.encode()) % 2 == 1
    got = play(made, made.feeds, fix)
    if fix and len(made.feeds) > 1 and comparable(made):
        last = {name: value for feeds in made.feeds for name, value in feeds.items()}
        want = play(made, [last], fix)
        if got != want:
            raise AssertionError(f"after another batch: {told(got)}; by itself: {told(want)}")


def play(made: Trial, feeds: list[dict[str, Value]], fix: bool) -> Result:
    """What the outputs hold in the end; "an error" if the last run gave one. `fix`: compute what Caffe2 should."""
    space = Workspace(root_folder=tempfile.gettempdir())
    if made.init:
        space.run_once(made.init)
    net, result = None, ""
    for feed in feeds:
        for name, value in feed.items():
            space.create(name).feed(value)
        if net is None:
            net = space.bind(read_net(made.net), fix)
        try:
            net.run()
            result = ""
        except ServerquantError as error:
            if fault := unclear(error):
                raise AssertionError(fault) from error
            result = "an error"
    return result or {name: state(space.get(name)) for op in made.net.op for name in op.output}


def state(blob: Blob) -> tuple[Any, ...]:
    """All that can be seen of a blob."""
    if blob.kind not in (TENSOR, INT8):
        return (blob.kind,)
    value, parameters = blob.view(), (repr(blob.scale), blob.zero_point) if blob.kind == INT8 else ()
    bits = value.tolist() if value.dtype == object else value.tobytes()
    return blob.kind, blob.dims, str(value.dtype), *parameters, bits


def told(result: Result) -> str:
    if isinstance(result, str):
        return result
    return str({name: (*seen[:-1], seen[-1][:16]) if len(seen) > 1 else seen for name, seen in result.items()})


def comparable(made: Trial) -> bool:
    """Whether running says the same every time: no chance, no state, and nothing written to what was fed."""
    written = {name for op in made.net.op for name in op.output}
    fed = {name for feed in made.feeds for name in feed}
    return written.isdisjoint(fed) and not any(STATEFUL.search(op.type) for op in made.net.op)


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
