"""The second act of `make demo`: quantizes the float digits classifier here and now, and reports what that costs.

    python examples/quantize_digits.py [FOLDER]

Calibrated on the images that it was trained on, judged on 500 others with labels. FOLDER (build/report) gets the int8
net, its recipe and the report.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import serverquant
from serverquant.cli import show
from serverquant.quantization.report import made, text

ROOT = Path(__file__).resolve().parents[1]
DIGITS = ROOT / "nets" / "digits24"
FLOAT = DIGITS / "init_net.pb", DIGITS / "predict_net.pb"


def accuracy(init: object, predict: object, images: np.ndarray, labels: np.ndarray) -> str:
    """Share of the images whose label has the largest score."""
    with serverquant.load(init, predict) as net:
        right = int((net(images)[net.outputs[0]].argmax(axis=1) == labels).sum())
    return f"{right / len(labels):6.1%}   {right} of {len(labels)} right"


def main(folder: Path = ROOT / "build" / "report") -> int:
    images = np.load(DIGITS / "inputs.npz")["data"]
    labels = np.load(DIGITS / "labels.npz")["labels"]
    training = np.load(DIGITS / "train.npz")["data"]

    began = time.perf_counter()
    result = serverquant.quantize(*FLOAT, training)
    result.save(folder)
    taken = time.perf_counter() - began
    print(f"Quantized nets/digits24 in {taken:.1f} s, calibrated on {len(training)} images, and wrote {folder}\n")
    print(f"  fp32   accuracy {accuracy(*FLOAT, images, labels)}")
    print(f"  int8   accuracy {accuracy(result.init, result.predict, images, labels)}\n")

    report = result.report(images, samples=len(images))
    numbers = report.numbers
    show.table(("worst", *text.HEADERS[1:]), text.table(numbers, numbers["summary"]["worst"]), text.RIGHT)
    print()
    for what, how_much in text.summary(numbers):
        print(f"  {what:8} {how_much}")
    page = report.save(folder)[-1]
    print(f"\n  {'Report' if page.suffix == '.json' else 'Report to open'}: {page}")
    if page.suffix == ".json":
        print(f"  For a page: {made.HOW_TO_GET}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
