"""Memory of loading a net and running it, above what importing serverquant takes: peaks of processes of their own.

    python benchmarks/memory.py [--json] [--net resnet50_recipe] [--threads 1 2]

Bounds, for float nets: a Predictor that keeps packed weights alone (planned, keep_weights=False) at most 1.3 of weights
and the three largest blobs; a simple net in a workspace at most 2.2 of weights and all blobs. Beside them the other
kinds, without a bound. Peaks are of resident memory, pages of the mapped file included. The outputs are compared.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import timing

sys.path.insert(0, str(timing.ROOT / "nets"))
import cases

CHILD = """
import json, re, sys
import numpy as np
import serverquant, serverquant.predictor, serverquant.workspace
from serverquant import workspace

kind, init, predict, inputs, threads = sys.argv[1:]
feeds = dict(np.load(inputs))
serverquant.set_num_threads(int(threads))

def memory(what):
    return int(re.search(what + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

open("/proc/self/clear_refs", "w").write("5")     # the peak so far is of importing
before = memory("VmRSS")
blobs = {}
if kind == "simple":
    workspace.RunNetOnce(init)
    weights = sum(workspace.current().get(name).nbytes for name in workspace.Blobs())
    for name, value in feeds.items():
        workspace.FeedBlob(name, value)
    known = set(workspace.Blobs())
    workspace.CreateNet(predict)
    for _ in range(2):
        workspace.RunNet(workspace.Nets()[0])
    outputs = [workspace.current().net(workspace.Nets()[0]).external_outputs]
    after, peak = memory("VmRSS"), memory("VmHWM")
    blobs = {name: workspace.current().get(name).nbytes for name in workspace.Blobs() if name not in known}
    total = float(sum(np.asarray(workspace.FetchBlob(name), "f8").sum() for name in outputs[0]))
else:
    net = serverquant.load(init, predict, keep_weights=kind != "packed weights alone", keep_blobs=kind == "all blobs")
    for _ in range(2):
        outputs = net(feeds)
    after, peak = memory("VmRSS"), memory("VmHWM")
    weights = net.nbytes
    total = float(sum(np.asarray(value, "f8").sum() for value in outputs.values()))
print(json.dumps([after - before, peak - before, weights, blobs, total]))
"""
KINDS = ("packed weights alone", "planned", "all blobs", "simple")


def measure(case: cases.NetCase, kind: str, threads: int) -> list[Any]:
    """[memory after two runs, its peak, bytes of the weights, bytes of blobs by name, sum of the outputs]."""
    source = case.folder.parent / case.info.get("inputs_from", case.name) / "inputs.npz"
    files = [str(path) for path in (case.init_path(), case.predict_path, source)]
    done = subprocess.run([sys.executable, "-c", CHILD, kind, *files, str(threads)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found: list[Any] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--net", default="resnet50_recipe", help="a float case of nets/ (default: resnet50_recipe)")
    args = parser.parse_args()
    report = timing.Report.start("Memory", args.json, [])
    case = cases.case(args.net)
    for threads in args.threads:
        found = {kind: measure(case, kind, threads) for kind in KINDS}
        sums = {total for *_, total in found.values()}
        if len(sums) > 1:
            sys.exit(f"the outputs differ: {sums}")
        _, _, weights, blobs, _ = found["simple"]
        largest = sum(sorted(blobs.values())[-3:])
        report.add("net", name=args.net, threads=threads, weights_mb=mb(weights), blobs_mb=mb(sum(blobs.values())),
                   largest_three_mb=mb(largest))
        for kind, (after, peak, *_) in found.items():
            whole = weights + (sum(blobs.values()) if kind in ("simple", "all blobs") else largest)
            bound = {"simple": 2.2, "packed weights alone": 1.3}.get(kind)
            report.add("memory", of=kind, peak_mb=mb(peak), after_mb=mb(after))
            report.bound(f"{kind}, {threads} threads: peak / (weights + blobs)", peak / whole, bound)
    return report.close()


def mb(size: int) -> float:
    return round(size / 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
