"""Plans of one segment, by the shapes that they were made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from serverquant.runtime._plan import Plan

if TYPE_CHECKING:
    from serverquant.runtime.nets.simple import SimpleNet


class PlanCache:
    """The most recently used plans for `pending`, the operators that are left; the least recently used go."""

    def __init__(self, net: SimpleNet, pending: Sequence[int], keep: int):
        self.net, self.pending, self.keep = net, pending, keep
        self.plans: list[Plan] = []

    def fitting(self) -> Plan:
        """A plan for the blobs' present shapes: a kept one, a kept one with other leading dims, or a new one."""
        for i, plan in enumerate(self.plans):
            if plan.matches():
                return self._first(i)
        for i, plan in enumerate(self.plans):
            if plan.rebatch():
                return self._first(i)
        plan = self.net.build(self.pending)
        self.plans.insert(0, plan)
        del self.plans[self.keep :]
        return plan

    def _first(self, i: int) -> Plan:
        """Plan i, from now on the first."""
        if i:
            self.plans.insert(0, self.plans.pop(i))
        return self.plans[0]
