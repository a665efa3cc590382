"""What calibration costs beside running the float net, and its peak memory whatever the number of images.

    python benchmarks/calibration.py [--json] [--net resnet50_recipe] [--images 100] [--rounds 3] [--threads 2]

Bounds: calibrating on so many images, from the files to the statistics, takes at most 1.5 times as many runs of a
Predictor that exists already; the peak memory for 1,000 images is at most 1.05 of that for 10. Images are random
numbers, made one by one. The statistics are compared: those of any batch are the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import timing

sys.path.insert(0, str(timing.ROOT / "nets"))
import cases

import serverquant

MEMORY = """
import json, re, sys
import numpy as np
import serverquant

init, predict, dims, count, threads = sys.argv[1:]
serverquant.set_num_threads(int(threads))
random = np.random.default_rng(0)
images = (random.standard_normal(json.loads(dims), np.float32) for _ in range(int(count)))
serverquant.calibrate(init, predict, images)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024)
"""


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.set_defaults(rounds=3, threads=[2])
    parser.add_argument("--net", default="resnet50_recipe", help="a float case of nets/ (default: resnet50_recipe)")
    parser.add_argument("--images", type=int, default=100, help="that are calibrated on (default: 100)")
    parser.add_argument("--memory", type=int, nargs=2, default=[10, 1000], help="numbers of images (default: 10 1000)")
    args = parser.parse_args()
    report = timing.Report.start("Calibration", args.json, [])
    case = cases.case(args.net)
    for threads in args.threads:
        serverquant.set_num_threads(threads)
        cost(report, case, args.images, args.rounds, threads)
        if args.memory[1]:
            memory(report, case, args.memory, threads)
    return report.close()


def cost(report: timing.Report, case: cases.NetCase, count: int, rounds: int, threads: int) -> None:
    """Pairs of: so many float runs, one calibration."""
    net = serverquant.load(case.init_path(), case.predict_path)
    dims = dims_of(case)
    images = np.random.default_rng(0).standard_normal((count, *dims[1:]), np.float32)

    def float_runs() -> None:
        for i in range(count):
            net(images[i : i + 1])

    def calibrate() -> None:
        serverquant.calibrate(case.init_path(), case.predict_path, images)

    def set_up() -> None:
        serverquant.calibrate(case.init_path(), case.predict_path, images[:2])

    runs = {f"{count} float runs": float_runs, f"calibration on {count}": calibrate, "calibration on 2": set_up}
    taken: dict[str, list[int]] = {name: [] for name in runs}
    net(images[:1])
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(timing.PAUSE_S)
            begin = time.perf_counter_ns()
            run()
            taken[name].append(time.perf_counter_ns() - begin)
    samples = {name: timing.Sample.of(name, times) for name, times in taken.items()}
    bounds = {f"{count} float runs": 1.5}
    report.samples(f"{case.name}, {threads} threads", samples, f"calibration on {count}", bounds)


def memory(report: timing.Report, case: cases.NetCase, counts: list[int], threads: int) -> None:
    """Peaks of processes of their own."""
    peaks = []
    for count in counts:
        files = [str(case.init_path()), str(case.predict_path)]
        words = [sys.executable, "-c", MEMORY, *files, json.dumps(dims_of(case)), str(count), str(threads)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        peaks.append(int(done.stdout))
        report.add("peak memory", net=case.name, images=count, mb=round(peaks[-1] / 1e6, 1))
    report.bound(f"peak of {counts[1]} images / of {counts[0]}", peaks[1] / peaks[0], 1.05)


def dims_of(case: cases.NetCase) -> list[int]:
    """Of one image."""
    source = case.folder.parent / case.info.get("inputs_from", case.name) / "inputs.npz"
    with np.load(source) as arrays:
        return [1, *arrays[arrays.files[0]].shape[1:]]


if __name__ == "__main__":
    sys.exit(main())
