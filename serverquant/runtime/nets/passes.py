"""What a planned net changes in its graph, pass by pass. A pass is a function of a Graph; PASSES are run in order.

To add one (a fusion, say): a function here, or in a file of its own where it has more than a few lines, and its place
in PASSES. It replaces nodes by others that write the same values, bit for bit; whatever nobody reads any more is taken
out by `drop_dead`. An operator that can do the work of the one behind it says so in its `absorb`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from serverquant._base.errors import ServerquantError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.runtime._plan import Plan
from serverquant.runtime.nets.graph import Graph, Node, Value
from serverquant.runtime.planner import Planner


class Folded:
    """Constants that were computed ahead, by operator and output. Contexts of one predictor share them."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[int, int], Blob] = {}

    def fold(self, graph: Graph) -> None:
        """Compute what depends on constants alone, and take those nodes out. One that fails stays: its error belongs to
        the run."""
        written_over = {value.over for node in graph.nodes for value in node.outputs}
        left = []
        for node in graph.nodes:
            needed = written_over | graph.results
            if not (foldable(node) and needed.isdisjoint(node.outputs) and self._compute(node)):
                left.append(node)
        graph.nodes = left

    def _compute(self, node: Node) -> bool:
        index = node.operator.definition.index
        for j, value in enumerate(node.outputs):
            value.blob = self.blobs.get((index, j)) or Blob(value.name)
        if (index, 0) not in self.blobs:
            try:
                run_ahead([node])
            except ServerquantError:
                for value in node.outputs:
                    value.blob = None
                return False
            self.blobs.update(((index, j), value.blob) for j, value in enumerate(node.outputs) if value.blob)
        for value in node.outputs:
            value.constant = True
        return True


def foldable(node: Node) -> bool:
    """Whether its outputs are the same at every run and live inside the net."""
    inside = not any(value.kept or value.over for value in node.outputs)
    return node.is_pure and inside and all(value.constant for value in node.inputs)


class _Ahead:
    """Nodes as a planner wants them."""

    def __init__(self, nodes: list[Node]):
        self.nodes, self.operators = nodes, [node.operator for node in nodes]

    def inputs_of(self, index: int) -> list[Blob]:
        return blobs(self.nodes[index].inputs)

    def outputs_of(self, index: int, ins: list[Spec], outs: list[Spec]) -> list[Blob]:
        return blobs(self.nodes[index].outputs)


def blobs(values: list[Value]) -> list[Blob]:
    """Where these values live; all must have a place."""
    found = [value.blob for value in values if value.blob is not None]
    assert len(found) == len(values), values
    return found


def run_ahead(nodes: list[Node]) -> None:
    """Run nodes whose values have blobs, once."""
    pending: Sequence[int] = range(len(nodes))
    while pending:
        plan = Planner(_Ahead(nodes), Plan()).build(pending)
        plan.run()
        pending = plan.rest


def absorb(graph: Graph) -> None:
    """An operator and the one behind it as one, where nobody else reads what lies between and the first can. It reads
    what the first does, then what else the second does."""
    uses = graph.uses()
    left: list[Node] = []
    for node in graph.nodes:
        before = left[-1] if left else None
        joins = before is not None and graph.results.isdisjoint(before.outputs) and _may_join(before, node, uses)
        whole = before.operator.absorb(node.operator) if before and joins else None
        if before is None or whole is None:
            left.append(node)
            continue
        value, out = before.outputs[0], node.outputs[0]
        before.inputs = before.inputs + [other for other in node.inputs if other is not value]
        out.over = value.over if out.over is value else None  # it may be written before the other inputs are read
        before.operator, before.outputs = whole, node.outputs
    graph.nodes = left


def _may_join(first: Node, second: Node, uses: dict[Value, list[tuple[Node, int]]]) -> bool:
    """Whether the first node's only output is inner and there for the second alone, whose output lives in no blob that
    either reads."""
    if not (first.is_pure and second.is_pure and len(first.outputs) == len(second.outputs) == 1):
        return False
    value, out = first.outputs[0], second.outputs[0]
    if value.kept or value not in second.inputs or len(uses[value]) != 1:
        return False
    read = [*first.inputs, *(other for other in second.inputs if other is not value)]
    return not (out.kept and any(other.kept and other.name == out.name for other in read))


def drop_dead(graph: Graph) -> None:
    """Take out nodes that no result depends on and that have no effects."""
    needed = set(graph.results)
    left = []
    for node in reversed(graph.nodes):
        if not node.is_pure or not needed.isdisjoint(node.outputs):
            needed.update(node.inputs)
            left.append(node)
    graph.nodes = left[::-1]


PASSES: list[Callable[[Graph], None]] = [drop_dead, absorb]
