"""Layers that do the Relu behind them themselves."""

from __future__ import annotations

from serverquant.runtime.operator import Operator


class TakesRelu(Operator):
    """A float layer with one output. relu: negative outputs become 0, by the same comparison as Relu's."""

    relu = False

    def absorb(self, other: Operator) -> Operator | None:
        behind = other.type == "Relu" and other.engine == ""
        return self.taking(other, relu=True) if behind and not self.relu and len(self.outputs) == 1 else None
