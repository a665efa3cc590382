"""Nets in which blobs take the place of others that are not needed any more.

The runtime plans memory by itself; this is for programs that rewrite their nets. What is about gradients is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple

from serverquant import proto, workspace


class LiveRange(NamedTuple):
    """The operators, by number, that make a blob first and use it last."""

    defined: int | None = None
    used: int | None = None
    size: int | None = None


class AssignmentAlgorithm(Enum):
    GREEDY = 0
    DYNAMIC_PROGRAMMING = 1


class Optimization(NamedTuple):
    net: Any
    assignments: Any
    blob_assignments: dict[str, str]


class AssignmentStatistics(NamedTuple):
    baseline_nbytes: int
    optimized_nbytes: int


Range = tuple[str, LiveRange]
_STEPS = 100_000  # of the search for the best assignment


# ---- which operators must come before which ------------------------------------------------------------------------


class Graph:
    """Operators by number, with edges from those that must come first."""

    def __init__(self, count: int):
        self.after: list[set[int]] = [set() for _ in range(count)]
        self.before: list[set[int]] = [set() for _ in range(count)]

    def add(self, first: int, second: int) -> None:
        if first != second:
            self.after[first].add(second)
            self.before[second].add(first)

    def nodes(self) -> range:
        return range(len(self.after))

    def edges(self) -> list[tuple[int, int]]:
        return [(first, second) for first in self.nodes() for second in sorted(self.after[first])]

    def ancestors(self) -> list[int]:
        """For each operator the set of all that come before it, as bits."""
        found: list[int] = []
        for node in self.nodes():
            found.append(0)
            for first in self.before[node]:
                found[node] |= found[first] | 1 << first
        return found


def compute_interference_graph(ops: Sequence[Any]) -> Graph:
    """Operators that share a blob which one of them writes."""
    graph = Graph(len(ops))
    writers: dict[str, list[int]] = {}
    readers: dict[str, list[int]] = {}
    for i, op in enumerate(ops):
        for name in op.input:
            for writer in writers.get(name, ()):
                graph.add(writer, i)
            readers.setdefault(name, []).append(i)
        for name in op.output:
            for other in [*writers.get(name, ()), *readers.get(name, ())]:
                graph.add(other, i)
            writers.setdefault(name, []).append(i)
    return graph


def topological_sort_traversal(g: Graph) -> list[int]:
    """An order that keeps chains together."""
    done: list[int] = []
    seen: set[int] = set()
    for root in g.nodes():
        stack = [(root, iter(sorted(g.after[root])))] if root not in seen else []
        seen.add(root)
        while stack:
            rest = stack[-1][1]
            following = next((n for n in rest if n not in seen), None)
            if following is None:
                done.append(stack.pop()[0])
            else:
                seen.add(following)
                stack.append((following, iter(sorted(g.after[following]))))
    return done[::-1]


def topological_sort_traversal_longest_path(g: Graph) -> list[int]:
    """An order in which of several paths to an operator the longest comes first."""
    length: dict[int, int] = {}
    for node in topological_sort_traversal(g):
        length[node] = max((length[n] + 1 for n in g.before[node]), default=0)

    def longest(nodes: Iterable[int]) -> list[int]:
        return sorted(nodes, key=lambda n: (-length[n], n))

    order: list[int] = []
    seen: set[int] = set()
    for target in longest(n for n in g.nodes() if not g.after[n]):
        stack = [(target, iter(longest(g.before[target])))]
        seen.add(target)
        while stack:
            node, rest = stack[-1]
            before = next((n for n in rest if n not in seen), None)
            if before is None:
                order.append(stack.pop()[0])
            else:
                seen.add(before)
                stack.append((before, iter(longest(g.before[before]))))
    return order


# ---- blobs whose ranges do not meet share a place ------------------------------------------------------------------


def collect_blob_sizes(net: Any) -> dict[str, int]:
    """Bytes of a net's blobs in the workspace."""
    names = {name for op in net.op for name in [*op.input, *op.output]}
    return {name: workspace.GetBlobSizeBytes(name) for name in sorted(names) if workspace.HasBlob(name)}


def compute_ranges(linearized_ops: Sequence[Any], blob_sizes: dict[str, int] | None = None) -> list[Range]:
    """Blobs by their last use. A blob that is read first has no definition, one that is not read no use."""
    ranges: dict[str, LiveRange] = {}
    for i, op in enumerate(linearized_ops):
        for name in op.input:
            ranges[name] = ranges.get(name, LiveRange())._replace(used=i)
        for name in op.output:
            known = ranges.get(name)
            ranges[name] = LiveRange(defined=i) if known is None else known._replace(used=i)
    sized = [(name, r._replace(size=(blob_sizes or {}).get(name, 1))) for name, r in ranges.items()]
    return sorted(sized, key=lambda pair: (pair[1].used is None, pair[1].used or 0, pair[1].defined or 0, pair[0]))


def _fits(candidate: LiveRange, assignment: Sequence[Range]) -> bool:
    """Whether the blob is made after the last use of all in this place."""
    used = [r.used for _, r in assignment]
    if candidate.defined is None or candidate.used is None or None in used:
        return False
    return all(last < candidate.defined for last in used if last is not None)


def _size(assignment: Sequence[Range]) -> int:
    return max((r.size or 0 for _, r in assignment), default=0)


def get_memory_usage(assignments: Iterable[Sequence[Range]]) -> int:
    """Sum of the places' sizes."""
    return sum(map(_size, assignments))


def compute_assignments_greedy(ranges_sorted: Sequence[Range], init_assignments: Any = None) -> list[list[Range]]:
    """Each blob takes the place whose size is nearest to its own."""
    assignments: list[list[Range]] = [list(a) for a in init_assignments or ()]
    for name, candidate in ranges_sorted:
        places = [a for a in assignments if _fits(candidate, a)]
        if places:
            min(places, key=lambda a: abs((candidate.size or 0) - _size(a))).append((name, candidate))
        else:
            assignments.append([(name, candidate)])
    return assignments


def compute_assignments_dp(
    ranges_sorted: Sequence[Range], init_assignment: Any = None, counter: Any = None
) -> list[list[Range]]:
    """The assignment of least memory, or the best that is found within a number of steps."""
    best = compute_assignments_greedy(ranges_sorted, init_assignment)
    least, steps = get_memory_usage(best), 0
    current = [list(a) for a in init_assignment or ()]

    def search(i: int) -> None:
        nonlocal best, least, steps
        steps += 1
        usage = get_memory_usage(current)
        if usage >= least or steps > _STEPS:
            return
        if i == len(ranges_sorted):
            best, least = [list(a) for a in current], usage
            return
        for place in [a for a in current if _fits(ranges_sorted[i][1], a)]:
            place.append(ranges_sorted[i])
            search(i + 1)
            place.pop()
        current.append([ranges_sorted[i]])
        search(i + 1)
        current.pop()

    if len(ranges_sorted) < 500:  # as deep as it may go
        search(0)
    return best


def compute_assignments(
    ranges: Sequence[Range], static_blobs: Iterable[Any], algo: AssignmentAlgorithm
) -> list[list[Range]]:
    """Places of all blobs; static ones, and those from outside, have one each."""
    kept = {str(blob) for blob in static_blobs}
    alone = [(name, r) for name, r in ranges if name in kept or r.defined is None or r.used is None]
    free = [pair for pair in ranges if pair not in alone]
    by_start = sorted(free, key=lambda pair: (pair[1].defined or 0, pair[1].used or 0))
    dp = algo == AssignmentAlgorithm.DYNAMIC_PROGRAMMING
    found = compute_assignments_dp(by_start) if dp else compute_assignments_greedy(by_start)
    return found + [[pair] for pair in alone]


def compute_blob_assignments(assignments: Iterable[Sequence[Range]]) -> dict[str, str]:
    """For each blob the first one of its place."""
    return {name: assignment[0][0] for assignment in assignments for name, _ in assignment}


def compute_statistics(assignments: Sequence[Sequence[Range]]) -> AssignmentStatistics:
    baseline = sum(r.size or 0 for assignment in assignments for _, r in assignment)
    return AssignmentStatistics(baseline, get_memory_usage(assignments))


def apply_assignments(net: Any, blob_assignments: dict[str, str]) -> None:
    """Rename the blobs of a NetDef, external outputs excepted."""
    keep = set(net.external_output)
    for op in net.op:
        for names in (op.input, op.output):
            names[:] = [name if name in keep else blob_assignments.get(name, name) for name in names]


def optimize_interference(
    net: Any,
    static_blobs: Iterable[Any],
    ordering_function: Callable[[Graph], list[int]] = topological_sort_traversal,
    blob_sizes: dict[str, int] | None = None,
    algo: AssignmentAlgorithm = AssignmentAlgorithm.GREEDY,
) -> Optimization:
    """The net in an order of its own, to be run one operator after the other, with blobs that share places."""
    made = _copy(net)
    order = ordering_function(compute_interference_graph(net.op))
    ops = [net.op[i] for i in order]
    static = {*map(str, static_blobs), *net.external_output}
    assignments = compute_assignments(compute_ranges(ops, blob_sizes), static, algo)
    del made.op[:]
    made.op.extend(ops)
    blob_assignments = compute_blob_assignments(assignments)
    apply_assignments(made, blob_assignments)
    return Optimization(made, assignments, blob_assignments)


def _copy(net: Any) -> Any:
    made = proto.NetDef()
    made.CopyFrom(net)
    return made


# ---- nets for inference --------------------------------------------------------------------------------------------


def _shared(net: Any, earlier: Sequence[int], may_share: Callable[[str], bool]) -> Any:
    """A copy in which a blob takes the name of another as soon as all who use that one are `earlier` (bits).

    A blob that nobody reads keeps its name: it is what the net is run for.
    """
    users: dict[str, int] = {}
    kept = {*net.external_input, *net.external_output}
    written: set[str] = set()
    for i, op in enumerate(net.op):
        kept |= {name for name in op.input if name not in written}
        for name in [*op.input, *op.output]:
            users[name] = users.get(name, 0) | 1 << i
        written |= set(op.output)
    read = {name for op in net.op for name in op.input}
    renamed: dict[str, str] = {}
    places: list[tuple[str, int]] = []  # a name, and all who use it so far
    for i, op in enumerate(net.op):
        for name in op.output:
            if name in renamed or name in kept or name not in read or not may_share(name):
                continue
            place = next((p for p in places if not p[1] & ~earlier[i]), (name, 0))
            if place in places:
                places.remove(place)
            renamed[name] = place[0]
            places.append((place[0], users[name]))
    made = _copy(net)
    for op in made.op:
        for names in (op.input, op.output):
            names[:] = [renamed.get(name, name) for name in names]
    return made


def optimize_inference_fast(net: Any, static_blobs: Iterable[Any]) -> Any:
    """For nets that are run one operator after the other: blobs, the static ones excepted, are used again."""
    static = {str(blob) for blob in static_blobs}
    return _shared(net, [(1 << i) - 1 for i in range(len(net.op))], lambda name: name not in static)


def optimize_inference_for_dag(net: Any, input_blobs: Iterable[Any], namescope: str = "") -> Any:
    """For nets whose operators run side by side: only blobs below the name scope, and no input blob, are used again."""
    message = net.Proto()
    inputs = {str(blob) for blob in input_blobs}
    prefix = f"{namescope}/" if namescope and not namescope.endswith("/") else namescope
    earlier = compute_interference_graph(message.op).ancestors()
    return _shared(message, earlier, lambda name: name.startswith(prefix) and name not in inputs)


def release_blobs_when_used(
    netproto: Any, dont_free_blobs: Iterable[Any], selector_fun: Callable[[str], bool] | None = None
) -> Any:
    """A copy with Free behind the last use of each blob that is neither external, nor kept, nor has an alias."""
    kept = {*map(str, dont_free_blobs), *netproto.external_input, *netproto.external_output}
    last: dict[str, int] = {}
    made_here: set[str] = set()
    for i, op in enumerate(netproto.op):
        if op.type == "Alias":
            kept |= {*op.input, *op.output}
        made_here |= set(op.output)
        last.update(dict.fromkeys(op.input, i))
    made = _copy(netproto)
    del made.op[:]
    for i, op in enumerate(netproto.op):
        made.op.add().CopyFrom(op)
        for name in dict.fromkeys(op.input):
            if last[name] == i and name in made_here - kept and (selector_fun is None or selector_fun(name)):
                free = made.op.add()
                free.type = "Free"
                free.input.append(name)
                free.output.append(name)
    return made


def verify_graph_equality(net_a: Any, net_b: Any) -> bool:
    """Whether both compute the same, whatever the names of their blobs."""
    return _canonical(net_a) == _canonical(net_b)


def _canonical(net: Any) -> list[Any]:
    """Operators with the number of each write for the blobs that they read; all that comes from outside is alike."""
    numbers: dict[str, int] = {}
    count = 0
    found = []
    for op in net.op:
        inputs = [numbers.get(name, -1) for name in op.input]
        for name in op.output:
            numbers[name], count = count, count + 1
        arguments = sorted(argument.SerializeToString() for argument in op.arg)
        found.append((op.type, op.engine, inputs, len(op.output), arguments))
    return found
