"""From an init net's path to its last blob: ours against the real Caffe2, and against what the disk and memory must do.

    python benchmarks/load.py [--json] [--rounds 7] [--net resnet50_recipe]

The yardstick reads the file and copies its floats once (every fill's values out of their 5-byte records into an array
of its own). Bounds: 3 times the yardstick; 0.3 of Caffe2's RunNetOnce, its parsing not counted; peak memory of the
process at most 1.2 times file + weights more than before. The file is in the cache of the operating system. Every
load runs in a process of its own, so that memory starts untouched for each, and the blobs are compared with the
file's floats first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import timing
from peers import real_caffe2

sys.path.insert(0, str(timing.ROOT / "nets"))
import cases

FLOAT_TAG = bytes([5 << 3 | 5])  # Argument.floats, one by one: a tag and 4 bytes each

OURS = """
import json, re, sys, time
from serverquant import workspace

def memory(what):
    return int(re.search(what + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

before = memory("VmRSS")
start = time.perf_counter_ns()
workspace.RunNetOnce(sys.argv[1])
last = workspace.FetchBlob(workspace.Blobs()[-1])
taken = time.perf_counter_ns() - start
peak = memory("VmHWM")
total = float(sum(workspace.FetchBlob(name).astype("f8").sum() for name in workspace.Blobs()))
print(json.dumps([taken, peak - before, total]))
"""


def runs_of_floats(data: bytes) -> list[tuple[int, int]]:
    """(place, count) of each long run of float records in a serialized init net."""
    tags = np.frombuffer(data, np.uint8) == FLOAT_TAG[0]
    found, at = [], 0
    while at < len(data):
        at = data.find(FLOAT_TAG, at)
        if at < 0:
            break
        column = tags[at::5]
        count = int(np.argmin(column)) if not column.all() else len(column)
        if count >= 8:
            found.append((at, count))
        at += max(count, 1) * 5 if count >= 8 else 1
    return found


def yardstick(path: Path, places: list[tuple[int, int]]) -> int:
    """Nanoseconds of reading the file and copying the floats of each run into an array of its own."""
    start = time.perf_counter_ns()
    data = path.read_bytes()
    arrays = [np.ndarray(count, "<f4", data, at + 1, (5,)).copy() for at, count in places]
    taken = time.perf_counter_ns() - start
    assert len(arrays) == len(places)
    return taken


def load_ours(path: Path) -> tuple[int, int, float]:
    """Nanoseconds, bytes of memory that the peak rose by, sum of all values; in a process of its own."""
    done = subprocess.run([sys.executable, "-c", OURS, str(path)], check=True, capture_output=True, text=True)
    taken, rose, total = json.loads(done.stdout)
    return taken, rose, total


def load_caffe2(path: Path) -> tuple[int, int]:
    """Nanoseconds of parsing, and of RunNetOnce alone."""
    with real_caffe2.Caffe2(1) as caffe2:
        return caffe2.init(path)


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.set_defaults(rounds=7)
    parser.add_argument("--net", default="resnet50_recipe", help="a case of nets/ (default: resnet50_recipe)")
    args = parser.parse_args()
    path = cases.case(args.net).init_path()
    report = timing.Report.start("Loading an init net", args.json, real_caffe2.versions())
    data = path.read_bytes()
    places = runs_of_floats(data)
    weights = 4 * sum(count for _, count in places)
    expected = sum(float(np.ndarray(n, "<f4", data, at + 1, (5,)).astype("f8").sum()) for at, n in places)
    report.add("net", name=args.net, megabytes=round(len(data) / 1e6), weights_megabytes=round(weights / 1e6))
    taken: dict[str, list[int]] = {"serverquant": [], "read and copy": [], "Caffe2 RunNetOnce": [], "Caffe2 parse": []}
    rose = 0
    for _ in range(args.rounds):
        taken["read and copy"].append(yardstick(path, places))
        ns, memory, total = load_ours(path)
        if not np.isclose(total, expected, rtol=1e-9):
            sys.exit(f"the blobs add up to {total}, the file's floats to {expected}")
        taken["serverquant"].append(ns)
        rose = max(rose, memory)
        if real_caffe2.available():
            parsed, ran = load_caffe2(path)
            taken["Caffe2 parse"].append(parsed)
            taken["Caffe2 RunNetOnce"].append(ran)
    samples = {name: timing.Sample.of(name, list_ns) for name, list_ns in taken.items() if list_ns}
    report.samples("from path to last blob", samples, "serverquant", {"read and copy": 3, "Caffe2 RunNetOnce": 0.3})
    report.bound("peak memory / (file + weights)", rose / (len(data) + weights), 1.2)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
