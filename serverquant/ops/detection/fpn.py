"""RoIs of feature pyramids: collected from the levels of the proposals, distributed over those of the maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, NetError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.ops.detection.boxes import best
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


class Pyramid(PythonOperator):
    """What both halves share."""

    takes = "float"

    def levels(self, kind: str) -> int:
        """How many levels `kind`, roi or rpn, has."""
        low, high = getattr(self.args, f"{kind}_min_level"), getattr(self.args, f"{kind}_max_level")
        if high < low:
            raise ArgumentError(f"argument {kind}_max_level is {high}, less than {kind}_min_level, {low}")
        return int(high - low + 1)

    def expect_count(self, what: str, names: tuple[str, ...], want: int) -> None:
        if len(names) != want:
            raise NetError(f"{self.type} of these levels takes {want} {what}s, not {len(names)}: {list(names)}")

    def check_rois(self, ins: list[Spec], i: int, *columns: int) -> None:
        if ins[i].ndim != 2 or ins[i].dims[1] not in columns:
            raise self.shape_error(ins, i, f"2 dimensions, RoIs x {' or '.join(map(str, columns))}")

    def collect(self, inputs: list[Any]) -> np.ndarray:
        """The RoIs with the highest scores."""
        half = len(inputs) // 2
        rois, scores = np.concatenate(inputs[:half]), np.concatenate([s.ravel() for s in inputs[half:]])
        return np.asarray(rois[best(scores, self.args.rpn_post_nms_topN)])

    def check_collected(self, ins: list[Spec]) -> None:
        half = len(ins) // 2
        for i in range(half):
            self.check_rois(ins, i, 5)
            if ins[half + i].size != ins[i].dims[0]:
                raise self.shape_error(ins, half + i, f"{ins[i].dims[0]} scores, one for each row of {self.inputs[i]}")

    def distribute(self, rois: np.ndarray, outputs: list[Any]) -> None:
        """RoIs of each level, and where each RoI has gone."""
        a = self.args
        plus_one = np.float32(a.legacy_plus_one)
        size = rois[:, -2:] - rois[:, -4:-2] + plus_one
        area = size[:, 0] * size[:, 1]
        if not (area >= 0).all():
            bad = int(np.flatnonzero(~(area >= 0))[0])
            raise ShapeError(f"RoI {bad}, {rois[bad, -4:].tolist()}, has a negative area")
        relative = np.sqrt(area) / np.float32(a.roi_canonical_scale) + np.float32(1e-6)
        # Logarithms in double and rounded: those of single precision differ from machine to machine.
        log = np.log(relative, dtype=np.float64).astype(np.float32) / np.float32(np.log(2.0))
        levels = np.clip(np.floor(np.float32(a.roi_canonical_level) + log), a.roi_min_level, a.roi_max_level)
        order = np.argsort(levels, kind="stable")
        for i, level in enumerate(range(a.roi_min_level, a.roi_max_level + 1)):
            outputs[i] = rois[levels == level]
        outputs[-1] = np.argsort(order, kind="stable").astype(np.int32)


@register("CollectRpnProposals")
class CollectRpnProposals(Pyramid):
    """The best RoIs of all levels."""

    def setup(self) -> None:
        self.expect_count("input", self.inputs, 2 * self.levels("rpn"))

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        self.check_collected(ins)
        return super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0] = self.collect(inputs)


@register("DistributeFpnProposals")
class DistributeFpnProposals(Pyramid):
    """RoIs by their size."""

    def setup(self) -> None:
        self.expect_count("output", self.outputs, self.levels("roi") + 1)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        self.check_rois(ins, 0, 4, 5)
        return super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        rois = inputs[0]
        if rois.shape[1] == 4:  # one image, number 0
            rois = np.insert(rois, 0, np.float32(0), 1)
        self.distribute(rois, outputs)


@register("CollectAndDistributeFpnRpnProposals")
class CollectAndDistribute(Pyramid):
    """Both."""

    def setup(self) -> None:
        self.expect_count("input", self.inputs, 2 * self.levels("rpn"))
        self.expect_count("output", self.outputs, self.levels("roi") + 2)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        self.check_collected(ins)
        return super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        rois = self.collect(inputs)
        levels: list[Any] = outputs[1:]
        self.distribute(rois, levels)
        outputs[:] = [rois, *levels]
