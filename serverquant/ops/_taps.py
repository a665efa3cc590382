"""Windows over arrays in numpy, for operators that no hot net contains."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from serverquant.ops._window import Fit


def taps(x: np.ndarray, fit: Fit, first: int) -> Iterator[np.ndarray]:
    """For every element of the window the part of x that it meets, x's spatial dims beginning at `first`; 0 outside."""
    ends = [_ends(fit, i) for i in range(len(fit.kernel))]
    pads = [(0, 0)] * x.ndim
    pads[first : first + len(ends)] = [(before, behind) for before, behind, _ in ends]
    padded = np.pad(x, pads)
    for tap in itertools.product(*map(range, fit.kernel)):
        place = [slice(None)] * x.ndim
        for i, k in enumerate(tap):
            begin = ends[i][2] + k * fit.dilations[i]
            place[first + i] = slice(begin, begin + (fit.out_sizes[i] - 1) * fit.strides[i] + 1, fit.strides[i])
        yield padded[tuple(place)]


def _ends(fit: Fit, i: int) -> tuple[int, int, int]:
    """(zeros before, zeros behind, where the first window starts in what comes of that) of one dimension."""
    before, start = max(fit.pads[i], 0), max(-fit.pads[i], 0)
    reach = start + (fit.out_sizes[i] - 1) * fit.strides[i] + (fit.kernel[i] - 1) * fit.dilations[i] + 1
    return before, max(reach - fit.sizes[i] - before, 0), start
