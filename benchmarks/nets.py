"""Whole nets at batch 1: ours against ONNX Runtime, OpenVINO and the real Caffe2, in one run, taking turns.

    python benchmarks/nets.py [--json] [--threads 1 2] [--rounds 10] [--times 10] [--only int8|fp32] [--no-peer-int8]

- ResNet-50 int8 (`resnet50_recipe_int8_fixed`) and MobileNetV2 int8 against ONNX Runtime's fp32 nets of the same
  weights, and against the int8 nets that the quantizers of ONNX Runtime and OpenVINO make of those;
- both fp32 nets and DenseNet-121 (densenet.py) against ONNX Runtime's fp32 and real Caffe2's.

Beside them, without a bound: the real Caffe2's int8 nets and OpenVINO's fp32. Nothing is timed before its answers are
checked against the stored ones: ours byte for byte, the peers' fp32 within the bound of `nets/cases.py`, their int8 by
the ratio of signal to noise. Caffe2's depthwise convolutions saturate, so it may
differ; how many blobs do is printed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import densenet
import numpy as np
import timing
from peers import ort, ov, real_caffe2

import serverquant
from serverquant._base import _isa
from serverquant.proto.io import load_net

sys.path.insert(0, str(timing.ROOT / "nets"))
import cases

ORT_FP32, ORT_INT8, CAFFE2 = "ONNX Runtime fp32", "ONNX Runtime int8", "Caffe2"
OV_FP32, OV_INT8 = "OpenVINO fp32", "OpenVINO int8"
INT8_BOUND = 1.3  # to the int8 nets of the peers
MIN_SQNR_DB = 15  # of a peer's int8 net: below this it would not be the same net any more
Run = Callable[[int], Sequence[int]]


@dataclass(frozen=True)
class Mark:
    """A net of ours, the fp32 net that ONNX Runtime runs, and the largest ratios of our time to its and to Caffe2's."""

    net: str
    peer: str
    bound: float | None
    kind: str
    caffe2_bound: float | None = None

    @property
    def bounds(self) -> dict[str, float]:
        """Peer -> bound."""
        given = {ORT_FP32: self.bound, CAFFE2: self.caffe2_bound}
        if self.kind == "int8":
            given |= {ORT_INT8: INT8_BOUND, OV_INT8: INT8_BOUND}
        return {name: bound for name, bound in given.items() if bound}


def marks() -> list[Mark]:
    vnni = _isa.current() == "avx512vnni"
    return [Mark("resnet50_recipe_int8_fixed", "resnet50_recipe", 0.6 if vnni else 0.75, "int8"),
            Mark("mobilenet_v2_recipe_int8_fixed", "mobilenet_v2_recipe", 0.9, "int8"),
            *(Mark(name, name, 1.5, "fp32", 0.5) for name in ("resnet50_recipe", "mobilenet_v2_recipe", densenet.NAME))]


def case_of(name: str) -> cases.NetCase:
    """The case of this name: a stored one, or DenseNet-121."""
    return densenet.case() if name == densenet.NAME else cases.case(name)


def wrong_blobs(case: cases.NetCase, fetch: Callable[[str], Any]) -> list[str]:
    """What differs from the stored answers after a run, a line a blob."""
    found = ((answer.blob, answer.compare(fetch(answer.blob))) for answer in case.answers())
    return [f"{blob}: {why}" for blob, why in found if why]


def same(one: Any, other: Any) -> bool:
    """Whether two outputs are the same bytes, parameters included."""
    if isinstance(one, tuple):
        return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one.tobytes() == other.tobytes())


def ours_checked(case: cases.NetCase, threads: int, stack: ExitStack) -> Run:
    """A Predictor's calls: arrays in, arrays out."""
    predict, inputs = stack.enter_context(serverquant.load(case.init_path(), case.predict_path)), case.inputs()
    serverquant.set_num_threads(threads)
    outputs = predict(inputs)
    with serverquant.load(case.init_path(), case.predict_path, keep_blobs=True) as keeper:
        kept = keeper(inputs)
        if wrong := wrong_blobs(case, keeper.fetch):
            sys.exit(f"{case.name}: {len(wrong)} blobs differ from the stored answers; first {wrong[0]}")
    if not all(same(outputs[name], kept[name]) for name in kept):
        sys.exit(f"{case.name}: the planned net's outputs differ")
    return timing.timed(lambda: predict(inputs))


def caffe2_checked(case: cases.NetCase, caffe2: real_caffe2.Caffe2, report: timing.Report) -> Run:
    """The runs of a net in the workspace, whose inputs stay."""

    def fetch(name: str) -> Any:
        value = caffe2.fetch([name])[name]
        return serverquant.Int8(*value) if isinstance(value, tuple) else value

    caffe2.init(case.init_path())
    caffe2.feed(case.inputs())
    caffe2.create(case.predict_path)
    caffe2.run(1)
    report.add("caffe2", net=case.name, blobs=len(case.answers()), differ=len(wrong_blobs(case, fetch)))
    return caffe2.run


def sqnr_db(case: cases.NetCase, outputs: dict[str, np.ndarray]) -> float:
    """Signal to noise of the first output against the stored fp32 one, in dB."""
    answer = case.answers()[0]
    want = answer.values.astype(np.float64)
    noise = float(np.square(outputs[answer.blob] - want).sum())
    return float(10 * np.log10(np.square(want).sum() / max(noise, 1e-30)))


def fp32_checked(case: cases.NetCase, peer: Any, name: str) -> Run:
    """A peer's fp32 net."""
    outputs = peer.outputs()
    for answer in case.answers():
        if answer.blob in outputs and (why := answer.compare(outputs[answer.blob])):
            sys.exit(f"{name}: {case.name}: {answer.blob}: {why}")
    return peer.run


def int8_checked(case: cases.NetCase, peer: Any, name: str) -> Run:
    """A peer's int8 net."""
    if (sqnr := sqnr_db(case, peer.outputs())) < MIN_SQNR_DB:
        sys.exit(f"{name}: {case.name}: {sqnr:.1f} dB")
    return peer.run


def sessions(mark: Mark, int8: bool) -> dict[str, Callable[[int], Any]]:
    """Name -> what makes a peer's session for a number of threads, out of a model that is made once."""
    case = case_of(mark.peer)
    inputs, made = case.inputs(), {}
    if ort.available():
        from peers import onnx_nets  # needs onnx

        model = onnx_nets.convert(load_net(case.init_path()), load_net(case.predict_path), inputs)
        made[ORT_FP32] = partial(ort.OnnxRuntime, model.SerializeToString(), inputs)
        if int8:
            made[ORT_INT8] = partial(ort.OnnxRuntime, ort.quantized(model, [inputs]), inputs)
    if ov.available():
        made[OV_FP32] = partial(ov.OpenVino, ov.converted(model), inputs)
        if int8:
            made[OV_INT8] = partial(ov.OpenVino, ov.quantized(model, inputs), inputs)
    return made


def contestants(mark: Mark, peers: dict[str, Callable[[int], Any]], threads: int, stack: ExitStack,
                report: timing.Report) -> dict[str, Run]:
    """Name -> run of ours and of every peer that is there, all checked."""
    case, peer = case_of(mark.net), case_of(mark.peer)
    runs = {"serverquant": ours_checked(case, threads, stack)}
    for name, session in peers.items():
        check = int8_checked if name in (ORT_INT8, OV_INT8) else fp32_checked
        runs[name] = check(peer, session(threads), name)
    if real_caffe2.available():
        runs[CAFFE2] = caffe2_checked(case, stack.enter_context(real_caffe2.Caffe2(threads)), report)
    return runs


def main() -> int:
    parser = timing.arguments(__doc__ or "")
    parser.add_argument("--only", choices=["int8", "fp32"], help="only these nets")
    parser.add_argument("--no-peer-int8", action="store_true", help="leave the int8 nets of the peers' quantizers out")
    args = parser.parse_args()
    versions = [*ort.versions(), *ov.versions(), *real_caffe2.versions()]
    report = timing.Report.start("Whole nets, batch 1", args.json, versions)
    for mark in [mark for mark in marks() if args.only in (None, mark.kind)]:
        peers = sessions(mark, mark.kind == "int8" and not args.no_peer_int8)
        for threads in args.threads:
            with ExitStack() as stack:
                runs = contestants(mark, peers, threads, stack, report)
                samples = timing.take_turns(runs, args.rounds, args.times)
            report.samples(f"{mark.net}, {threads} threads", samples, "serverquant", mark.bounds)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
