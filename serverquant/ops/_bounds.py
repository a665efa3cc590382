"""Layers that do the Relu or Clip behind them themselves."""

from __future__ import annotations

import math

from serverquant.runtime.operator import Operator

RELU = (0.0, math.inf)


class TakesBounds(Operator):
    """A float layer with one output. bounds: (lo, hi) of the outputs, by the same comparisons as Relu's and Clip's."""

    bounds: tuple[float, float] | None = None

    def absorb(self, other: Operator) -> Operator | None:
        if self.bounds is not None or len(self.outputs) != 1 or other.engine != "" or other.outputs[0] in self.inputs:
            return None
        if other.type == "Relu":
            return self.taking(other, bounds=RELU)
        return self.taking(other, bounds=(other.args.min, other.args.max)) if other.type == "Clip" else None
