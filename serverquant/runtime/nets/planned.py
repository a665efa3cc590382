"""The `planned` net: only its outputs are kept, and inner blobs share memory.

Made once: operators whose inputs are constants are computed ahead (`Folded`), the passes change the graph (`PASSES`).
While planning, every inner value gets a place: that of an input that ends here, where the operator works in place; a
free place of the best size; or a new one. Places are found at the first plan, by its sizes, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from serverquant._base.errors import NetError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.blobs.store import BlobStore
from serverquant.proto.wire import NetFile
from serverquant.runtime.nets.dag import DagNet
from serverquant.runtime.nets.graph import Graph, Node, Value, graph_of, unread
from serverquant.runtime.nets.passes import PASSES, Folded, blobs
from serverquant.runtime.nets.simple import SimpleNet
from serverquant.runtime.operator import Operator


class PlannedNet(SimpleNet):
    """A net that keeps only its outputs: those given, else the NetDef's external outputs, else what no operator reads.

    constants: names of blobs that nobody else writes, weights for example. folded: where constants that were computed
    ahead are found and put. watched: names of inner blobs that an observer sees when they are written
    (`observe.Watcher`): they are neither left out nor fused away, but their memory is shared like that of others.
    """

    def __init__(
        self,
        source: NetFile,
        store: BlobStore,
        fix_defects: bool = False,
        outputs: Iterable[str] = (),
        constants: Iterable[str] = (),
        folded: Folded | None = None,
        watched: Collection[str] = (),
    ):
        self._results, self._constants, self._watched = set(outputs), set(constants), watched
        self._folded = folded or Folded()
        super().__init__(source, store, fix_defects)

    def _prepare(self) -> None:
        if any(operator.by_name for operator in self.operators):
            self.nodes: list[Node] = []  # whoever gets at blobs by name must find them all: a simple net, then
            super()._prepare()
            return
        results = self._results or set(self.external_outputs) or unread(self.operators)
        graph = graph_of(self.operators, results, self._constants, self._watched)
        self._bind_constants(graph)
        self._folded.fold(graph)
        for change in PASSES:
            change(graph)
        self.nodes = graph.nodes
        made = {name for operator in self.operators for name in operator.outputs}
        self._bind_kept(made)
        self.operators = [node.operator for node in self.nodes]
        self._places = Places(self.nodes, self._is_behind)

    def redefine(self, messages: Mapping[int, Any]) -> None:
        raise NetError(f'net "{self.name}" is planned, so its operators cannot be changed any more')

    def _is_behind(self, first: int, then: int) -> bool:
        return first < then

    def _bind_constants(self, graph: Graph) -> None:
        for node in graph.nodes:
            for value in node.inputs:
                if value.constant and value.blob is None:
                    value.blob = self.store.get(value.name)

    def _bind_kept(self, made: set[str]) -> None:
        """The store's blobs for values that live there, and empty ones that say why for those that do not."""
        written = {value for node in self.nodes for value in node.outputs}
        for node in self.nodes:
            for value in (*node.inputs, *node.outputs):
                if value.kept and value.blob is None:
                    find = self.store.local if value in written else self.store.create
                    value.blob = find(value.name)
        for name in made:
            if name not in self.store:
                self.store.local(name).why_empty = (
                    f'it is inner memory of net "{self.name}", which is planned and keeps its outputs alone; a simple '
                    "net (or a Predictor with keep_blobs=True) keeps all"
                )

    def inputs_of(self, index: int) -> list[Blob]:
        return blobs(self.nodes[index].inputs) if self.nodes else super().inputs_of(index)

    def reads(self) -> Iterator[tuple[Operator, int, Blob]]:
        if not self.nodes:
            yield from super().reads()
        for node in self.nodes:
            for i, value in enumerate(node.inputs):
                if value.blob is not None and value.kept:
                    yield node.operator, i, value.blob

    def outputs_of(self, index: int, ins: list[Spec], outs: list[Spec]) -> list[Blob]:
        if not self.nodes:
            return super().outputs_of(index, ins, outs)
        if self._places.settle(index, ins, outs):
            self._forget_plans()
        return blobs(self.nodes[index].outputs)

    def _forget_plans(self) -> None:
        for cache in self._caches.values():
            cache.plans.clear()

    @property
    def inner_bytes(self) -> int:
        """Bytes of the memory that inner blobs share."""
        return self._places.nbytes if self.nodes else 0


class PlannedDagNet(PlannedNet, DagNet):
    """The same on several threads: a place is free for an operator when all who used it are among those that it waits
    for, one way or another."""

    def _is_behind(self, first: int, then: int) -> bool:
        return bool(self.ancestors[then] >> first & 1)


@dataclass(eq=False)
class Place:
    """Memory that values take in turns. users: the nodes that write or read the one that has it now."""

    blob: Blob
    users: set[int]
    nbytes: int = 0


class Places:
    """Which inner value of some nodes lives where. behind(a, b): whether node b runs after node a is done."""

    def __init__(self, nodes: list[Node], behind: Callable[[int, int], bool]):
        self.nodes, self.behind = nodes, behind
        self._users = users_of(nodes)
        self._places: dict[Blob, Place] = {}
        self._shared: dict[Value, Value] = {}  # values in place of an input -> that input

    @property
    def nbytes(self) -> int:
        return sum(place.nbytes for place in self._places.values())

    def settle(self, index: int, ins: list[Spec], outs: list[Spec]) -> bool:
        """Give the node's outputs their places, at the first time. True if one had to move: shapes that it was not
        made for do not fit in place."""
        node = self.nodes[index]
        moved = False
        for j, value in enumerate(node.outputs):
            if value.blob is None:
                value.blob = value.over.blob if value.over else self._place(node, index, j, ins, outs[j])
            elif value in self._shared and not _fits(outs[j], ins[node.inputs.index(self._shared[value])]):
                del self._shared[value]
                value.blob = Blob(value.name)
                moved = True
        return moved

    def _place(self, node: Node, index: int, j: int, ins: list[Spec], spec: Spec) -> Blob:
        blob = Blob(node.outputs[j].name)
        if spec.kind not in (TENSOR, INT8) or spec.dtype == dtypes.STRING:
            return blob
        place = self._in_place(node, index, j, ins, spec) or self._best_free(index, spec.nbytes)
        if place is None:
            place = self._places[blob] = Place(blob, set())
        place.users = self._users[node.outputs[j]]
        place.nbytes = max(place.nbytes, spec.nbytes)
        return place.blob

    def _in_place(self, node: Node, index: int, j: int, ins: list[Spec], spec: Spec) -> Place | None:
        """The place of an input that nobody reads later, if the operator may write there and needs just as much."""
        rules = node.operator.schema.inplace
        for i, out in () if isinstance(rules, str) else rules:
            if out != j or i >= len(node.inputs) or not ins[i].with_dims(spec.dims).same_type(spec):
                continue
            value = node.inputs[i]
            place = self._places.get(value.blob) if value.blob else None
            if place is None or ins[i].nbytes != spec.nbytes or node.inputs.count(value) > 1:
                continue
            others = place.users - {index}
            if place.users is self._users[origin(value)] and self._all_behind(others, index):
                self._shared[node.outputs[j]] = value
                return place
        return None

    def _all_behind(self, users: set[int], index: int) -> bool:
        return all(self.behind(user, index) for user in users)

    def _best_free(self, index: int, nbytes: int) -> Place | None:
        """The smallest place that is free by then and large enough, else the largest free one."""
        free = [place for place in self._places.values() if self._all_behind(place.users, index)]
        enough = [place for place in free if place.nbytes >= nbytes]
        if enough:
            return min(enough, key=lambda place: place.nbytes)
        return max(free, key=lambda place: place.nbytes, default=None)


def _fits(out: Spec, into: Spec) -> bool:
    return out.kind in (TENSOR, INT8) and out.nbytes <= into.nbytes


def origin(value: Value) -> Value:
    """The first of the values that the net itself puts in one place."""
    while value.over is not None:
        value = value.over
    return value


def users_of(nodes: list[Node]) -> dict[Value, set[int]]:
    """The nodes that write or read each place that the net gives, by its first value."""
    users: dict[Value, set[int]] = {}
    for index, node in enumerate(nodes):
        for value in (*node.inputs, *node.outputs):
            users.setdefault(origin(value), set()).add(index)
    return users
