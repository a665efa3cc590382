"""Sequences of labels from scores over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.lengths.check import checked, within
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

Prefix = tuple[int, ...]
Probabilities = dict[Prefix, np.float32]
ZERO = np.float32(0)


class Ctc(PythonOperator):
    """Scores (time, batch, labels), and optionally the length of each sequence."""

    takes = ("float", "int32")

    def lengths(self, inputs: list[Any]) -> np.ndarray:
        time, batch = inputs[0].shape[:2]
        lengths = checked(inputs[1]) if len(inputs) > 1 else np.full(batch, time)
        if lengths.max(initial=0) > time:
            raise ShapeError(f"a length is {lengths.max()}, but INPUTS ends after {time}")
        return lengths


@register("CTCGreedyDecoder")
class CTCGreedyDecoder(Ctc):
    """The most likely label at each time."""

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        labels = inputs[0].argmax(2).T.astype(np.int32)
        before = np.concatenate([np.zeros_like(labels[:, :1]), labels[:, :-1]], 1)
        keep = (labels != 0) & (np.arange(labels.shape[1]) < self.lengths(inputs)[:, None])
        if self.args.merge_repeated:
            keep &= labels != before
        outputs[0] = keep.sum(1).astype(np.int32)
        outputs[1] = labels[keep]


@register("CTCBeamSearchDecoder")
class CTCBeamSearchDecoder(Ctc):
    """Prefix beam search. For each prefix two probabilities are kept: of paths that end in a blank, and of others."""

    def setup(self) -> None:
        if self.args.num_candidates < 1 or self.args.beam_width < self.args.num_candidates:
            raise ArgumentError(
                f"num_candidates {self.args.num_candidates} must be at least 1, and no more than beam_width, "
                f"{self.args.beam_width}"
            )

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        answers: list[tuple[Prefix, np.float32]] = []
        for item, length in enumerate(self.lengths(inputs)):
            found = self._search(inputs[0][:length, item])[: self.args.num_candidates]
            answers += found + [((), ZERO)] * (self.args.num_candidates - len(found))
        outputs[0] = np.array([len(labels) for labels, _ in answers], np.int32)
        outputs[1] = np.array([label for labels, _ in answers for label in labels], np.int32)
        if len(outputs) > 2:
            outputs[2] = np.array([probability for _, probability in answers], np.float32)

    def _search(self, scores: np.ndarray) -> list[tuple[Prefix, np.float32]]:
        """Prefixes after the last time, the most likely first."""
        blank: Probabilities = {(): np.float32(1)}
        other: Probabilities = {(): ZERO}
        beam: list[Prefix] = [()]
        ranked: list[tuple[Prefix, np.float32]] = []
        for now in scores:
            labels = np.flatnonzero(now > np.float32(self.args.prune_threshold))
            if not labels.size:
                labels = np.arange(now.size)
            blank, other = self._extend(sorted(beam), labels.tolist(), now, blank, other)
            total = {p: blank.get(p, ZERO) + other.get(p, ZERO) for p in sorted({*blank, *other})}
            ranked = sorted(total.items(), key=lambda entry: -entry[1])
            beam = [prefix for prefix, _ in ranked[: self.args.beam_width]]
        return ranked

    @staticmethod
    def _extend(
        beam: list[Prefix], labels: list[int], now: np.ndarray, blank: Probabilities, other: Probabilities
    ) -> tuple[Probabilities, Probabilities]:
        """The two probabilities one step later."""
        blanks: Probabilities = {}
        others: Probabilities = {}

        def add(to: Probabilities, prefix: Prefix, probability: np.float32) -> None:
            to[prefix] = to.get(prefix, ZERO) + probability

        kept = set(beam)
        for prefix in beam:
            in_blank, in_other = blank.get(prefix, ZERO), other.get(prefix, ZERO)
            for label in labels:
                if label == 0:
                    add(blanks, prefix, now[0] * (in_blank + in_other))
                    continue
                longer = (*prefix, label)
                if prefix and label == prefix[-1]:
                    add(others, longer, now[label] * in_blank)
                    add(others, prefix, now[label] * in_other)
                else:
                    add(others, longer, now[label] * (in_blank + in_other))
                if longer not in kept:  # what was known of it before it fell out of the beam
                    add(blanks, longer, now[0] * (blank.get(longer, ZERO) + other.get(longer, ZERO)))
                    add(others, longer, now[label] * other.get(longer, ZERO))
        return blanks, others


@register("ViterbiPath")
class ViterbiPath(PythonOperator):
    """The best path."""

    takes = "float"

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT32, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        scores, transitions = inputs
        path = outputs[0]
        if not path.size:
            return
        best, came_from = scores[0], []
        for now in scores[1:]:
            through = best[:, None] + transitions
            came_from.append(through.argmax(0))
            best = now + through.max(0)
        path[-1] = best.argmax()
        for t in range(len(path) - 1, 0, -1):
            path[t - 1] = came_from[t - 1][path[t]]


@register("SwapBestPath")
class SwapBestPath(PythonOperator):
    """Two scores exchanged at each time."""

    takes = ("float", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        scores, wanted = inputs[0], within(inputs[1], inputs[0].shape[1], "label")
        time, best = np.arange(len(scores)), scores.argmax(1)
        outputs[0][...] = scores
        outputs[0][time, best] = scores[time, wanted]
        outputs[0][time, wanted] = scores[time, best]
