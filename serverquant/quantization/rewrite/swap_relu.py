"""An activation behind Concat or MaxPool moves before it, where it fuses into the layers.

With f(x) = min(max(x, 0), h), h infinite for Relu: f works on each value and does not decrease, so
f(concat(x, y)) = concat(f(x), f(y)) and f(max(x, y)) = max(f(x), f(y)).

It is done where it costs nothing: each input comes from a layer or sum whose output nobody else reads, or is itself
such an f(x) already, h not above the one here.
"""

from __future__ import annotations

from serverquant.proto import OperatorDef
from serverquant.quantization.net import FUSING, Net, upper_end

TYPES = ("Concat", "MaxPool")
FUSES = (*FUSING, "SpatialBN")


def apply(net: Net) -> int:
    swapped = 0
    while _swap_one(net):
        swapped += 1
    return swapped


def _swap_one(net: Net) -> bool:
    graph = _Graph(net)
    for op in net.ops:
        if op.type not in TYPES or op.engine or not graph.read_once(op.output[0]):
            continue
        after = graph.readers[op.output[0]][0]
        top = upper_end(after)
        if top is not None and all(graph.takes(name, top) for name in op.input):
            _swap(net, op, after, [graph.within(name, top) for name in op.input])
            return True
    return False


class _Graph:
    def __init__(self, net: Net) -> None:
        self.net, self.readers, self.writers = net, net.readers(), net.writers()

    def read_once(self, name: str) -> bool:
        return len(self.readers.get(name, [])) == 1 and name not in self.net.kept

    def within(self, name: str, top: float) -> bool:
        """Whether an activation writes the blob that leaves nothing to do for one that ends at top."""
        source = self.writers.get(name)
        end = None if source is None else upper_end(source)
        return end is not None and end <= top

    def takes(self, name: str, top: float) -> bool:
        """Whether an activation of this blob costs nothing."""
        source = self.writers.get(name)
        if self.within(name, top):
            return True
        if source is None or source.engine or not self.read_once(name):
            return False
        return source.type in FUSES or (source.type in TYPES and all(self.takes(x, top) for x in source.input))


def _swap(net: Net, op: OperatorDef, after: OperatorDef, ready: list[bool]) -> None:
    place = next(i for i, found in enumerate(net.ops) if found is op)
    made = []
    for i, done in enumerate(ready):
        if not done:
            moved = OperatorDef()
            moved.CopyFrom(after)
            moved.input[:], moved.output[:] = [op.input[i]], [net.unique(f"{op.input[i]}_relu")]
            op.input[i] = moved.output[0]
            made.append(moved)
    op.output[0] = after.output[0]
    net.remove([after])
    net.ops[place:place] = made
