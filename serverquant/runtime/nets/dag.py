"""Nets whose operators run on several threads: `dag` and the names that Caffe2 has for it.

An operator runs when those that it waits for are done: whoever wrote a blob that it reads or writes, whoever reads a
blob that it writes (in the order of the net), the makers of its control inputs, and, if it has effects beyond its
outputs, the one before it that has some too. So every blob ends up as in a `simple` net, byte for byte.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

from serverquant._base import _threads
from serverquant._base.errors import NetError
from serverquant.blobs.store import BlobStore
from serverquant.proto.wire import NetFile
from serverquant.runtime._dag import DagPlan
from serverquant.runtime._plan import Plan, PythonStep
from serverquant.runtime.nets.simple import SimpleNet
from serverquant.runtime.operator import Operator
from serverquant.runtime.planner import Planner


class DagNet(SimpleNet):
    """A net that runs on up to `num_workers` threads (of the NetDef; all CPUs at hand when it does not say).

    Whether more threads than the caller's are used is measured, by each plan for itself: chains and small operators run
    as in a `simple` net. The kernels' threads are shared among the operators that run at once.
    """

    def __init__(self, source: NetFile, store: BlobStore, fix_defects: bool = False):
        if source.net.type == "parallel" and source.net.num_workers <= 0:
            raise NetError(f'net "{source.net.name}" of type "parallel" needs num_workers > 0')
        self.workers = source.net.num_workers if source.net.num_workers > 0 else _threads.available_cpus()
        super().__init__(source, store, fix_defects)

    def _order(self) -> Sequence[int]:
        found = dependencies(self.operators, set(self.external_inputs))
        order = in_order(found, self.operators)
        self.waits, self.ancestors = reduced(found, order)
        self._index = {operator: i for i, operator in enumerate(self.operators)}
        return order

    def _fill(self, pending: Sequence[int]) -> Plan:
        plan = DagPlan(self.workers)
        Planner(self, plan, self.waits).build(pending)
        indices = [self._index[operator] for operator in plan.operators]
        step_of = {index: step for step, index in enumerate(indices)}
        waits = [sorted(step_of[w] for w in self.waits[index] if w in step_of) for index in indices]
        plan.link(waits, self._python_at_once(plan, indices))
        return plan

    def _python_at_once(self, plan: Plan, indices: list[int]) -> bool:
        """Whether two operators with Python bodies may run at the same time."""
        python = [i for i, (step, _, _) in zip(indices, plan.steps_python) if isinstance(step, PythonStep)]
        return any(not self.ancestors[b] >> a & 1 for a, b in itertools.pairwise(python))


def dependencies(operators: list[Operator], there: set[str]) -> list[set[int]]:
    """For each operator the indices of those that it waits for. `there`: blobs that exist before the net runs."""
    waits: list[set[int]] = [set() for _ in operators]
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    last_effect = last_barrier = None
    for i, op in enumerate(operators):
        if last_barrier is not None:
            waits[i].add(last_barrier)
        if op.by_name:  # may read and write anything
            waits[i].update(range(last_barrier or 0, i))
            last_barrier = i
        for name in op.inputs:
            if name in writer:
                waits[i].add(writer[name])
            readers.setdefault(name, []).append(i)
        for name in op.outputs:
            waits[i].update(r for r in readers.pop(name, ()) if r != i)
            if writer.get(name, i) != i:
                waits[i].add(writer[name])
            writer[name] = i
        if op.effects:
            if last_effect is not None:
                waits[i].add(last_effect)
            last_effect = i
    _add_control_inputs(operators, there, waits)
    return waits


def _add_control_inputs(operators: list[Operator], there: set[str], waits: list[set[int]]) -> None:
    """A control input is the blob's last writer before the operator; without one, and unless the blob is there anyway,
    the first writer behind."""
    if not any(op.definition.control_inputs for op in operators):
        return
    writers: dict[str, list[int]] = {}
    for i, op in enumerate(operators):
        for name in op.outputs:
            writers.setdefault(name, []).append(i)
    for i, op in enumerate(operators):
        for name in op.definition.control_inputs:
            found = writers.get(name, [])
            before = [w for w in found if w < i]
            if before:
                waits[i].add(before[-1])
            elif found and name not in there:
                waits[i].add(found[0])


def in_order(waits: list[set[int]], operators: list[Operator]) -> tuple[int, ...]:
    """The operators in an order in which nobody waits for a later one, as near to the net's as can be."""
    left = [len(w) for w in waits]
    behind: list[list[int]] = [[] for _ in waits]
    for i, before in enumerate(waits):
        for w in before:
            behind[w].append(i)
    ready = [i for i, n in enumerate(left) if n == 0]
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for j in behind[i]:
            left[j] -= 1
            if left[j] == 0:
                heapq.heappush(ready, j)
    if len(order) < len(waits):
        _raise_cycle(waits, set(range(len(waits))) - set(order), operators)
    return tuple(order)


def _raise_cycle(waits: list[set[int]], stuck: set[int], operators: list[Operator]) -> None:
    path = [min(stuck)]
    while path[-1] not in path[:-1]:
        path.append(min(w for w in waits[path[-1]] if w in stuck))
    cycle = path[path.index(path[-1]) :]
    text = " waits for ".join(f"{operators[i].type} (op {i})" for i in cycle)
    raise NetError(f"its control inputs make a circle: {text}").at(operators[cycle[0]].place)


def reduced(waits: list[set[int]], order: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """(whom each operator waits for directly, without those that others of these wait for anyway; all that must be done
    before it, as bits of an int)."""
    ancestors = [0] * len(waits)
    direct: list[list[int]] = [[] for _ in waits]
    for i in order:
        inherited = 0
        for w in waits[i]:
            inherited |= ancestors[w]
        direct[i] = [w for w in waits[i] if not inherited >> w & 1]
        ancestors[i] = inherited | sum(1 << w for w in direct[i])
    return direct, ancestors
