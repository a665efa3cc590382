"""The operators of a net as a graph of values, for those who change it before it is planned."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from serverquant.blobs._blob import Blob
from serverquant.runtime.operator import Operator


@dataclass(eq=False)
class Value:
    """What one operator writes, or what is there before the net runs: a blob that is written twice has two values.

    name: of its blob in the net. kept: it lives in the store's blob of that name; others live where the net puts them.
    constant: the same at every run. over: the value that it takes the place of, because the net says so (an input and
    an output of one name). blob: where it lives, once that is known.
    """

    name: str
    kept: bool = False
    constant: bool = False
    over: Value | None = None
    blob: Blob | None = None

    def __repr__(self) -> str:
        return f"<value of {self.name}>"


@dataclass(eq=False)
class Node:
    """An operator and the values that it reads and writes."""

    operator: Operator
    inputs: list[Value]
    outputs: list[Value] = field(default_factory=list)

    @property
    def is_pure(self) -> bool:
        """Whether all that it does is to compute its outputs (there are some, then) from its inputs."""
        return self.operator.effects is False and not self.operator.by_name and bool(self.outputs)


@dataclass
class Graph:
    """Nodes in the order in which they run. results: the values that have to be computed under their own names, because
    they are kept after a run or watched while it goes on."""

    nodes: list[Node]
    results: set[Value]

    def uses(self) -> dict[Value, list[tuple[Node, int]]]:
        """Who reads each value, and as which input."""
        found: dict[Value, list[tuple[Node, int]]] = {}
        for node in self.nodes:
            for i, value in enumerate(node.inputs):
                found.setdefault(value, []).append((node, i))
        return found


def graph_of(
    operators: list[Operator], results: set[str], constants: set[str], watched: Collection[str] = ()
) -> Graph:
    """The graph of operators in order. results: names whose last value has to be there after a run. constants: names of
    blobs that nobody but the net writes. watched: names of which an observer sees each value when it is written."""
    kept = results | set(read_first(operators))
    kept |= {name for operator in operators if operator.named_inputs for name in operator.inputs}
    current: dict[str, Value] = {}
    nodes = []
    for operator in operators:
        for name in operator.inputs:
            if name not in current:
                current[name] = Value(name, kept=True, constant=name in constants)
        node = Node(operator, [current[name] for name in operator.inputs])
        for name in operator.outputs:
            over = current[name] if name in operator.inputs else None
            node.outputs.append(Value(name, kept=name in kept, over=over))
        current.update((value.name, value) for value in node.outputs)
        nodes.append(node)
    made = {value for node in nodes for value in node.outputs}
    results_made = {value for value in current.values() if value.kept and value in made}
    return Graph(nodes, results_made | {value for value in made if value.name in watched})


def read_first(operators: list[Operator]) -> Iterator[str]:
    """Names that are read before an operator writes them."""
    made: set[str] = set()
    for operator in operators:
        yield from (name for name in operator.inputs if name not in made)
        made.update(operator.outputs)


def unread(operators: list[Operator]) -> set[str]:
    """Names whose last value no operator reads."""
    last: set[str] = set()
    for operator in operators:
        last.difference_update(operator.inputs)
        last.update(operator.outputs)
    return last
