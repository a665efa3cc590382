"""Pools and regions that no hot net contains: LpPool, RMACRegions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from serverquant.blobs.spec import Spec
from serverquant.ops._window import split_dims
from serverquant.ops.pool.base import PoolOperator
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register


@register("LpPool")
class LpPool(PythonOperator, PoolOperator):
    """(sum |x|^p)^(1/p), taps in row-major order."""

    takes = "float"

    def setup(self) -> None:
        PoolOperator.setup(self)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x, p = inputs[0], np.float32(self.args.p)
        fit = self.window.fit(split_dims(x.shape, self.window.nhwc)[2])
        first = 1 if self.window.nhwc else 2
        pads = [(0, 0)] * 4
        pads[first : first + 2] = [(max(a, 0), max(b, 0)) for a, b in zip(fit.pads[:2], fit.pads[2:])]
        starts = [max(-a, 0) for a in fit.pads[:2]]
        with np.errstate(all="ignore"):
            powers = np.pad(np.abs(x) ** p, pads)
            sums = np.zeros(outputs[0].shape, np.float32)
            for tap in itertools.product(*map(range, fit.kernel)):
                begins = [t + b for t, b in zip(tap, starts)]
                at = tuple(slice(b, b + (n - 1) * s + 1, s) for b, n, s in zip(begins, fit.out_sizes, fit.strides))
                # A last window that Caffe's rule lets stand out is cut off.
                seen = powers[(slice(None),) * first + at]
                sums[tuple(map(slice, seen.shape))] += seen
            outputs[0][...] = sums ** (np.float32(1) / p)


@register("RMACRegions")
class RMACRegions(PythonOperator):
    """Regions by scale, then from left to right, then from top to bottom, for every image."""

    takes = "float"

    MOST_STEPS = 6

    def regions(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """(left, top, right, bottom) of one image's regions."""
        side, found = min(height, width), []
        extra = self._steps(side, max(height, width)) if height != width else 0
        for scale in range(1, self.args.scales + 1):
            size = 2 * side // (scale + 1)
            if size == 0:
                break
            lefts = _starts(width, size, scale + (extra if width > height else 0))
            tops = _starts(height, size, scale + (extra if height > width else 0))
            found += [(x, y, x + size - 1, y + size - 1) for x in lefts for y in tops]
        return found

    def _steps(self, side: int, longer: int) -> int:
        """How many regions more the longer side takes, for neighbours to overlap as wanted."""
        def miss(steps: int) -> float:
            return abs(1 - (longer - side) / steps / side - self.args.overlap)

        return min(range(1, self.MOST_STEPS + 1), key=miss) if side else 0

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        batch, _, height, width = inputs[0].shape
        one = np.array(self.regions(height, width), np.float32).reshape(-1, 4)
        outputs[0][:, 0] = np.repeat(np.arange(batch), len(one))
        outputs[0][:, 1:] = np.tile(one, (batch, 1))


def _starts(length: int, size: int, count: int) -> list[int]:
    gap = (length - size) / (count - 1) if count > 1 else 0.0
    return [min(int(np.float32(gap) * np.float32(i)), length - size) for i in range(count)]
