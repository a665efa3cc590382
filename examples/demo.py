"""What `make demo` shows: a digits classifier, in fp32 and in int8, on the images that come with it.

The nets are Caffe2's own files: nets/digits24 was trained, nets/digits24_int8_fixed is the same net with int8 operators
of engine DNNLOWP. `outputs.npz` holds the bytes that the real Caffe2 1.8.1 gave for the int8 net. Then the float net is
quantized once more, by serverquant itself (quantize_digits.py).
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import quantize_digits

import serverquant
from serverquant import Predictor
from serverquant._base import _isa, _threads

NETS = Path(__file__).resolve().parents[1] / "nets"
SHADES = " .:-=+*#%@"


def load(name: str) -> Predictor:
    return serverquant.load(NETS / name / "init_net.pb", NETS / name / "predict_net.pb", keep_blobs=True)


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown CPU"


def scores(predict: Predictor, images: np.ndarray) -> np.ndarray:
    """Class scores [images, 10] and, on the way, all inner blobs."""
    return predict(images)[predict.outputs[0]]


def microseconds_per_image(predict: Predictor, images: np.ndarray) -> float:
    """Median of 9 runs over all images, after one to warm up."""
    times = []
    for _ in range(10):
        began = time.perf_counter()
        predict(images)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:]) / len(images) * 1e6


def kernels(predict: Predictor) -> str:
    """Names of the kernels that convolutions and fully connected layers run on."""
    found = [step.kernel for plan in predict.net.last_plans for step, _, _ in plan.steps_python]
    return ", ".join(dict.fromkeys(k for k in found if k.startswith("sq_")))


def agreement(predict: Predictor) -> tuple[int, int]:
    """(blobs whose bytes, scale and zero point equal Caffe2's, blobs that are stored)."""
    stored = dict(np.load(NETS / "digits24_int8_fixed" / "outputs.npz"))
    names = [key for key in stored if f"{key}__scale" in stored]
    return sum(same_as_stored(predict, key, stored) for key in names), len(names)


def same_as_stored(predict: Predictor, key: str, stored: dict[str, np.ndarray]) -> bool:
    name, _, first = key.removesuffix("]").partition("[:")
    got = predict.fetch(name)
    data = got.data[: int(first)] if first else got.data
    parameters = got.scale == stored[f"{key}__scale"] and got.zero_point == stored[f"{key}__zero_point"]
    return bool(parameters and np.array_equal(data, stored[key]))


def picture(image: np.ndarray) -> list[str]:
    """24 lines of two characters a pixel."""
    levels = np.clip((image - image.min()) / np.ptp(image) * (len(SHADES) - 1), 0, len(SHADES) - 1).astype(int)
    return ["".join(SHADES[v] * 2 for v in row) for row in levels[::2]]


def show_digit(image: np.ndarray, label: int, fp32: np.ndarray, int8: np.ndarray) -> None:
    """The image with the three likeliest classes of both nets beside it."""
    notes = [f"label: {label}", ""]
    for name, row in (("fp32", fp32), ("int8", int8)):
        shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum() if not np.isclose(row.sum(), 1) else row
        best = np.argsort(shares)[::-1][:3]
        notes += [f"{name}:"] + [f"  {c}  {'#' * int(shares[c] * 20):20} {shares[c]:6.1%}" for c in best] + [""]
    for line, note in zip(picture(image), notes + [""] * 12):
        print(f"  {line}   {note}".rstrip())
    print()


def main() -> int:
    images = dict(np.load(NETS / "digits24" / "inputs.npz"))
    labels = next(iter(np.load(NETS / "digits24" / "labels.npz").values()))
    pixels = next(iter(images.values()))
    print(f"\nserverquant {serverquant.__version__}: {len(pixels)} images of handwritten digits, 24 x 24\n")
    print(f"  CPU       {cpu_name()}")
    print(f"  kernels   for {_isa.current()} (this machine runs {', '.join(_isa.supported())}), "
          f"{_threads.get_num_threads()} threads\n")
    nets = {"fp32": load("digits24"), "int8": load("digits24_int8_fixed")}
    found = {name: scores(net, pixels) for name, net in nets.items()}
    equal, stored = agreement(nets["int8"])
    for name, net in nets.items():
        accuracy = float((found[name].argmax(axis=1) == labels).mean())
        print(f"  {name}   accuracy {accuracy:6.1%}   {microseconds_per_image(net, pixels):7.1f} us an image   "
              f"weights {net.nbytes / 1e3:6.1f} kB   {kernels(net)}")
    print(f"\n  int8 bytes equal the real Caffe2's in {equal} of {stored} stored blobs\n")
    for i in (0, int(np.flatnonzero(labels != labels[0])[0])):
        show_digit(pixels[i, 0], int(labels[i]), found["fp32"][i], found["int8"][i])
    return quantize_digits.main() or int(equal != stored)


if __name__ == "__main__":
    sys.exit(main())
