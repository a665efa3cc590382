"""Int8 layers that run their neighbours in their own step, while the bytes are in the cache.

A chain is some of these in a row: NCHW2NHWC, Quantize, a layer, and behind it a Sum or Dequantize. Each part's output
is read by the next one alone. What comes before the layer is its head: a step that makes the layer's input in scratch.
What comes behind is its tail, done to each block of rows when the layer has written it (`sq_epilogue.after`). The bytes
are those of the parts one by one, and so are checks and errors, which the parts make themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

from serverquant._base.errors import ServerquantError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp._layer import Tail, set_tail
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator

TURN, QUANTIZE, LAYER, TAIL = range(4)


class Link(Operator):
    """An operator that may be part of a chain; each kind has the methods of its own that a chain calls."""

    def kind(self) -> int | None:
        """TURN, QUANTIZE, LAYER or TAIL; None where the arguments do not allow it."""
        return None

    def head_step(self, turned: bool) -> Step:
        """Of a QUANTIZE, which has one input: its step, or the one that does an NCHW2NHWC before it too. It needs no
        scratch."""
        raise NotImplementedError

    def set_head(self, step: Step, head: Step) -> None:
        """Of a LAYER: have its step begin with another."""
        raise NotImplementedError

    def takes_head(self) -> bool:
        """Of a LAYER."""
        return False

    def tail_step(self, ins: list[Spec], at: int) -> Tail:
        """Of a TAIL, whose input `at` is the layer's output."""
        raise NotImplementedError

    def absorb(self, other: Operator) -> Operator | None:
        return chain([self], other)


def chain(parts: list[Link], other: Operator) -> Chain | None:
    """The parts and the operator behind them as one, if it can be."""
    whole = [*parts, other]
    links = [part for part in whole if isinstance(part, Link)]
    kinds = [link.kind() for link in links]
    if len(links) < len(whole) or tuple(kinds) not in ORDERS:
        return None
    reads = [then.inputs.index(first.outputs[0]) for first, then in itertools.pairwise(links)]
    behind_layer = kinds.index(LAYER) if LAYER in kinds else len(kinds)
    if any(reads[:behind_layer]) or (
        behind_layer < len(kinds) and behind_layer and not links[behind_layer].takes_head()
    ):
        return None
    return Chain(links, reads)


_HEADS = ((), (QUANTIZE,), (TURN, QUANTIZE))
ORDERS = {(TURN, QUANTIZE), *(order for head in _HEADS for order in ((*head, LAYER), (*head, LAYER, TAIL)))}


class Chain(Operator):
    """Parts in a row as one operator, in place of the layer (without one, of the last part).

    reads: which input of each part but the first is the output of the one before. What comes before a layer has one
    input, so the layer's own inputs keep their numbers; a tail's follow them.
    """

    def __init__(self, parts: list[Link], reads: list[int]):
        kinds = [part.kind() for part in parts]
        at = kinds.index(LAYER) if LAYER in kinds else len(parts) - 1
        self.__dict__.update(vars(parts[at]))
        self.parts, self.reads, self.at, self.packs = parts, reads, at, parts[at].packs
        self.inputs = parts[0].inputs
        for part, read in zip(parts[1:], reads):
            self.inputs += part.inputs[:read] + part.inputs[read + 1 :]
        self.outputs = parts[-1].outputs

    def absorb(self, other: Operator) -> Operator | None:
        return chain(self.parts, other)

    def _walk(self, ins: list[Spec]) -> tuple[list[list[Spec]], list[list[Spec]]]:
        """What each part reads and writes."""
        left, reads = list(ins), []
        writes: list[list[Spec]] = []
        for i, part in enumerate(self.parts):
            count = len(part.inputs) - (i > 0)
            own, left = left[:count], left[count:]
            if i > 0:
                own.insert(self.reads[i - 1], writes[-1][0])
            try:
                part.check_types(own)
                outs = part.infer(own)
                assert outs is not None
                part.check_outputs(own, outs)
            except ServerquantError as error:
                raise error.at(part.place)
            reads.append(own)
            writes.append(outs)
        return reads, writes

    def check_types(self, ins: list[Spec]) -> None:
        """With the shapes, as each part sees them."""

    def check_outputs(self, ins: list[Spec], outs: list[Spec]) -> None:
        """The parts have; an inner value may have the name of an input that lives elsewhere."""

    def infer(self, ins: list[Spec]) -> list[Spec]:
        return self._walk(ins)[1][-1]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        reads, writes = self._walk(ins)
        main, last = self.parts[self.at], self.parts[-1]
        turned = self.parts[0].kind() == TURN
        if main.kind() == QUANTIZE:
            return main.head_step(turned)
        step = main.plan(reads[self.at], writes[self.at])
        if self.at and (turned or ins[0].is_float):  # bytes that need no turning are the layer's input as they are
            main.set_head(step, self.parts[self.at - 1].head_step(turned))
        if last is not main:
            try:
                tail = last.tail_step(reads[-1], self.reads[-1])
            except ServerquantError as error:
                raise error.at(last.place)
            set_tail(step, tail, len(main.inputs))
            step.prepare = partial(_prepare, step.prepare, len(main.inputs))
        return step


def _prepare(
    prepare: Callable[[list[Blob], list[Blob]], None], own: int, inputs: list[Blob], outputs: list[Blob]
) -> None:
    """A layer's own `prepare`, which sees its own inputs alone."""
    prepare(inputs[:own], outputs)
