"""Accuracy of nets quantized after training: methods, corrections, and the quantizers of NNCF and ONNX Runtime.

    python benchmarks/accuracy.py [--json] [--only bits ...] [--nets depthwise ...] [--seeds 10] [--images 16]

- methods: ranges of activations by each method, on the trained nets (`nets/train_digits.py`);
- corrections: the depthwise nets, of Relu and of Clip, one scale a tensor, without corrections, with each, with both;
- peers: presets of ours against the peers on the same nets and calibration data, paired by seed: the mean drop of the
  share of right answers, and the mean difference to the best peer with its interval of 95 %;
- bits: activations and weights of 4 to 16 bits, on two trained nets of `nets/`: right answers instead of points lost;
- logits: signal to noise at the logits of ResNet-50 and MobileNetV2 with seeded weights (`nets/make_weights.py`).

Peers get the net with its batch norms folded, as ours does for itself, and run as their models say, without the
saturation of int8 kernels. Each calibrates on the same images, all of them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timing
from peers import nncf_onnx, ort

import serverquant
from serverquant.quantization.net import Net
from serverquant.quantization.ptq import quantize
from serverquant.quantization.rewrite import simplify

sys.path.insert(0, str(timing.ROOT / "nets"))
import cases

KINDS = ("depthwise", "clipped", "residual", "mlp")
UNEVEN = ("depthwise", "clipped")  # whose channels differ much: what corrections are for
LARGE = ("resnet50_recipe", "mobilenet_v2_recipe")
METHODS = ("min_max", "p99", "percentile", "l1", "l2", "l2_approx", "kl")
CALIBRATION = 256
WIDTHS = ((8, 8), (6, 8), (4, 8), (8, 6), (8, 4), (6, 6), (4, 4), (16, 8), (8, 16), (12, 12), (16, 16))  # of bits
DROP = 0.2  # points that `default` may lose on average
# 97.5 % of Student's t, by degrees of freedom from 1
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
        2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)


@dataclass
class Task:
    """A float net, images to calibrate on and to test with, their labels where there are any, and its logits."""

    name: str
    nets: tuple[Any, Any]
    input: str
    calibration: np.ndarray
    images: np.ndarray
    labels: np.ndarray | None
    logits: np.ndarray

    def points(self, logits: np.ndarray) -> float:
        """Share of right answers in points; against the float net's answers where there are no labels."""
        wanted = self.logits.argmax(1) if self.labels is None else self.labels
        return 100 * float((logits.argmax(1) == wanted).mean())

    def sqnr(self, logits: np.ndarray) -> float:
        """Of the logits, in dB."""
        signal, noise = np.float64(self.logits), np.float64(self.logits) - logits
        return float(10 * np.log10(np.square(signal).sum() / np.square(noise).sum()))


@dataclass
class Outcome:
    """drop: points lost. sqnr: dB. seconds: that quantizing took."""

    drop: float
    sqnr: float
    seconds: float


Quantizer = Callable[[Task], Callable[[], np.ndarray]]  # quantizes; gives what makes the logits of the images


def logits_of(nets: tuple[Any, Any], name: str, images: np.ndarray) -> np.ndarray:
    with serverquant.load(*nets) as predict:
        parts = [predict({name: images[i : i + 1]})[predict.outputs[0]] for i in range(len(images))]
    return np.concatenate(parts)


def task(name: str, init: Path, predict: Path, calibration: np.ndarray, images: np.ndarray, labels: Any = None) -> Task:
    with serverquant.load(init, predict) as net:
        (source,) = net.inputs
    return Task(name, (init, predict), source, calibration, images, labels, logits_of((init, predict), source, images))


def trained(kind: str, seeds: int) -> Iterator[Task]:
    """The trained nets of one kind; exits when they are not there."""
    train, test, labels = (np.load(timing.ROOT / "nets" / "digits24" / f"{name}.npz")
                           for name in ("train", "inputs", "labels"))
    for seed in range(seeds):
        folder = timing.ROOT / "build" / "nets" / f"digits_{kind}" / str(seed)
        if not folder.is_dir():
            sys.exit(f"{folder} is missing: python nets/train_digits.py --seeds {seeds}")
        yield task(f"{kind} {seed}", folder / "init_net.pb", folder / "predict_net.pb", train["data"][:CALIBRATION],
                   test["data"], labels["labels"])


def photos(count: int, seed: int) -> np.ndarray:
    """Images as a large net takes them, N x 3 x 224 x 224: blurred noise with a little noise, normalized."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        coarse = rng.uniform(0, 1, (3, 8, 8))
        fine = np.stack([np.kron(channel, np.ones((28, 28))) for channel in coarse])
        for axis in (1, 2):
            fine = sum(np.roll(fine, shift, axis) for shift in range(-10, 11)) / 21
        found.append(np.clip(fine + rng.normal(0, 0.05, fine.shape), 0, 1))
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return np.float32((np.stack(found) - mean.reshape(3, 1, 1)) / spread.reshape(3, 1, 1))


class PeerFails(Exception):
    """A peer that cannot quantize a net."""


# ---- quantizers -----------------------------------------------------------------------------------------------------


def ours(**settings: Any) -> Quantizer:
    def run(given: Task) -> Callable[[], np.ndarray]:
        made = quantize(*given.nets, given.calibration, **settings)
        return lambda: logits_of((made.init, made.predict), given.input, given.images)

    return run


def peer(quantizer: Callable[..., bytes], **options: Any) -> Quantizer:
    from peers import onnx_nets

    def run(given: Task) -> Callable[[], np.ndarray]:
        net = Net(*given.nets)
        simplify(net)
        model = onnx_nets.convert(*net.protos(), {given.input: given.calibration[:1]})
        try:
            made = quantizer(model, feeds(given.input, given.calibration), **options)
        except Exception as error:
            raise PeerFails(f"{type(error).__name__}: {error}") from error
        return lambda: ort.first_outputs(made, feeds(given.input, given.images))

    return run


def feeds(name: str, images: np.ndarray) -> list[dict[str, np.ndarray]]:
    return [{name: images[i : i + 1]} for i in range(len(images))]


def peers() -> dict[str, Quantizer]:
    """Those that are installed, each in the ways that it recommends."""
    found: dict[str, Quantizer] = {}
    if nncf_onnx.available():
        found["NNCF"] = peer(nncf_onnx.quantized)
        found["NNCF, accurate bias"] = peer(nncf_onnx.quantized, accurate=True)
        found["NNCF, min-max"] = peer(nncf_onnx.quantized, min_max=True)
    if ort.available():
        found["ORT, a scale a channel"] = peer(ort.quantized)
        found["ORT, a channel, percentile"] = peer(ort.quantized, method="Percentile")
        found["ORT, a scale a tensor"] = peer(ort.quantized, per_channel=False)
    return found


def measured(quantizer: Quantizer, given: Task) -> Outcome:
    start = time.perf_counter()
    run = quantizer(given)
    seconds = time.perf_counter() - start
    logits = run()
    return Outcome(given.points(given.logits) - given.points(logits), given.sqnr(logits), seconds)


# ---- tables ---------------------------------------------------------------------------------------------------------


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and how far on both sides of it its interval of 95 % reaches."""
    n = len(values)
    half = T975[min(n - 1, len(T975)) - 1] * statistics.stdev(values) / n**0.5 if n > 1 else float("nan")
    return statistics.mean(values), half


def table(report: timing.Report, what: str, contestants: dict[str, Quantizer], tasks: list[Task]) -> dict[str, Any]:
    """Every contestant on every task; prints a row for each and returns name -> outcomes."""
    report.say(f"\n{what}: {len(tasks)} nets\n  {'':32}  drop, points      worst   SQNR dB   least   seconds")
    found = {}
    for name, quantizer in contestants.items():
        try:
            outcomes = [measured(quantizer, given) for given in tasks]
        except PeerFails as why:
            report.add("left out", name=name, what=what, why=str(why).splitlines()[0])
            continue
        found[name] = outcomes
        mean, half = interval([outcome.drop for outcome in outcomes])
        sqnr, seconds = ([getattr(outcome, key) for outcome in outcomes] for key in ("sqnr", "seconds"))
        worst = max(outcome.drop for outcome in outcomes)
        report.rows.append({"kind": "accuracy", "what": what, "name": name, "drop": mean, "half_width": half,
                            "worst": worst, "sqnr": statistics.mean(sqnr), "least": min(sqnr),
                            "seconds": statistics.mean(seconds)})
        report.say(f"  {name:32} {mean:6.2f} +- {half:5.2f} {worst:10.2f} {statistics.mean(sqnr):9.1f} {min(sqnr):7.1f}"
                   f" {statistics.mean(seconds):9.2f}")
    return found


def methods(report: timing.Report, seeds: int, kinds: list[str]) -> None:
    for kind in kinds:
        table(report, f"methods, {kind}", {name: ours(method=name) for name in METHODS}, list(trained(kind, seeds)))


def corrections(report: timing.Report, seeds: int, kinds: list[str]) -> None:
    rows = {f"equalization {e}, bias {b}": ours(preset="fast", equalization=e, bias=b)
            for e in ("none", "activations", "cross_layer", "through_clip") for b in ("none", "analytic", "empirical")}
    for kind in (kind for kind in kinds if kind in UNEVEN):
        table(report, f"corrections, {kind}", rows, list(trained(kind, seeds)))


def against_peers(report: timing.Report, seeds: int, kinds: list[str]) -> None:
    rivals = peers()
    presets = {name: ours(preset=name) for name in ("fast", "default")}
    for kind in kinds:
        found = table(report, f"peers, {kind}", {**presets, **rivals}, list(trained(kind, seeds)))
        report.bound("mean drop of default, points", interval([o.drop for o in found["default"]])[0], DROP)
        if others := [name for name in rivals if name in found]:
            best = min(others, key=lambda name: statistics.mean(o.drop for o in found[name]))
            worse, half = interval([a.drop - b.drop for a, b in zip(found["default"], found[best])])
            report.say(f"  default's drop less that of {best}: {worse:.2f} +- {half:.2f} points, paired")
            report.bound("the least that it may be worse by", worse - half, 0.0)


def bits(report: timing.Report, _: int, __: list[str]) -> None:
    folder = timing.ROOT / "nets" / "digits24"
    train, test, labels = (np.load(folder / f"{name}.npz") for name in ("train", "inputs", "labels"))
    for name in ("digits24", "digits_depthwise"):
        init, predict = (timing.ROOT / "nets" / name / file for file in ("init_net.pb", "predict_net.pb"))
        given = task(name, init, predict, train["data"][:CALIBRATION], test["data"], labels["labels"])
        report.say(f"\nbits, {name}: {given.points(given.logits):.1f} % right in float")
        for preset in ("fast", "default"):
            for activations, weights in WIDTHS:
                found = measured(ours(preset=preset, activation_bits=activations, weight_bits=weights), given)
                right = given.points(given.logits) - found.drop
                report.rows.append({"kind": "accuracy", "what": "bits", "net": name, "preset": preset, "right": right,
                                    "activations": activations, "weights": weights, "sqnr": found.sqnr})
                report.say(f"  {preset:8} activations {activations:2}, weights {weights:2}: {right:5.1f} %,"
                           f" {found.sqnr:5.1f} dB")


def logits(report: timing.Report, images: int, names: list[str]) -> None:
    rivals = peers()
    for name in names:
        case = cases.case(name)
        given = task(name, case.init_path(), case.predict_path, photos(images, 1), photos(images, 2))
        found = table(report, name, {**{key: ours(preset=key) for key in ("fast", "default")}, **rivals}, [given])
        if others := [name for name in rivals if name in found]:
            best = max(found[key][0].sqnr for key in others)
            report.at_least("SQNR of default, dB", found["default"][0].sqnr, best)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--only", nargs="+", choices=("methods", "corrections", "peers", "bits", "logits"),
                        help="these tables")
    parser.add_argument("--seeds", type=int, default=10, help="trained nets of each kind (default: 10)")
    parser.add_argument("--images", type=int, default=16, help="for the large nets, to calibrate and to test each")
    parser.add_argument("--nets", nargs="+", choices=(*KINDS, *LARGE), default=[*KINDS, *LARGE], help="these nets")
    args = parser.parse_args()
    kinds, large = ([name for name in args.nets if name in known] for known in (KINDS, LARGE))
    report = timing.Report.start("Accuracy after quantization", args.json, [*nncf_onnx.versions(), *ort.versions()])
    for name, run, count, nets in (("methods", methods, args.seeds, kinds),
                                   ("corrections", corrections, args.seeds, kinds),
                                   ("peers", against_peers, args.seeds, kinds), ("bits", bits, 0, []),
                                   ("logits", logits, args.images, large)):
        if args.only is None or name in args.only:
            run(report, count, nets)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
