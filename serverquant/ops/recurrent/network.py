"""RecurrentNetwork: a step net run over a sequence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from serverquant._base.errors import ArgumentError, OperatorError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.proto.wire import read_net
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register
from serverquant.runtime.workspace import Workspace


class Link(NamedTuple):
    """Blob `internal` of the step net is steps t + offset ... of `external`."""

    internal: str
    external: str
    offset: int
    window: int

    def meets(self, other: Link) -> bool:
        """Whether both have a step in common."""
        apart = self.offset >= other.offset + other.window or other.offset >= self.offset + self.window
        return self.external == other.external and not apart


class Alias(NamedTuple):
    """Output `output` is a state from step `offset` on."""

    state: str
    output: int
    offset: int


class StepWorkspaces:
    """What the last output holds: nothing, since training alone looks at it."""

    dims = ()


@register("RecurrentNetwork")
class RecurrentNetwork(Operator):
    """Steps one after the other, on copies of the linked tensors' parts."""

    named_inputs = True  # by the step net

    def setup(self) -> None:
        args = self.args
        if args.step_net is None:
            raise ArgumentError("needs the argument step_net, a net")
        self.links = self._links()
        self.states = dict(zip(*self._equal("recurrent_states", "initial_recurrent_state_ids")))
        for name, i in self.states.items():
            if not 0 <= i < len(self.inputs):
                count = len(self.inputs)
                raise ArgumentError(f'state "{name}" begins with input {i}, but there are {count} inputs')
        self.aliases = [self._alias(*alias) for alias in zip(*self._equal("alias_src", "alias_dst", "alias_offset"))]
        self.step: Any = None
        self.read, self.written = _uses(args.step_net)

    def _equal(self, *names: str) -> list[list[Any]]:
        """Arguments that are lists of one length."""
        lists = [list(getattr(self.args, name)) for name in names]
        if len(set(map(len, lists))) > 1:
            raise ArgumentError(f"{', '.join(names)} must have one length, not {', '.join(str(len(v)) for v in lists)}")
        return [[v.decode() if isinstance(v, bytes) else v for v in entries] for entries in lists]

    def _links(self) -> list[Link]:
        windows = list(self.args.link_window) or [1] * len(self.args.link_internal)
        lists = self._equal("link_internal", "link_external", "link_offset")
        if len(windows) != len(lists[0]):
            raise ArgumentError(f"link_window has {len(windows)} entries for {len(lists[0])} links")
        links = [Link(*entry) for entry in zip(*lists, windows)]
        for link in links:
            if link.window < 1:
                raise ArgumentError(f"the link of {link.internal} has a window of {link.window} steps")
        return links

    def _alias(self, state: str, output: str, offset: int) -> Alias:
        if state not in self.states or output not in self.outputs:
            raise ArgumentError(f"the alias of {state} as {output} is not of a state as an output")
        return Alias(state, self.outputs.index(output), offset)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[0].ndim < 2:
            raise self.shape_error(ins, 0, "steps and a batch in front")
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        steps, batch = inputs[0].dims[:2]
        states = {name: self._begin(inputs[i], steps, batch) for name, i in self.states.items()}
        space = self._space()
        around = {link.external: states.get(link.external) for link in self.links}
        for name, tensor in around.items():
            around[name] = space.get(name).view() if tensor is None else tensor
        for t in range(steps):
            self._run_step(t, space, around)
        for alias in self.aliases:
            outputs[alias.output].feed(_from(states[alias.state], alias.offset))
        for i in set(range(len(outputs))) - {alias.output for alias in self.aliases}:
            outputs[i].feed_object(StepWorkspaces())

    def _begin(self, blob: Blob, steps: int, batch: int) -> np.ndarray:
        """A state with its initial steps."""
        first = blob.view()
        if not 1 <= first.ndim <= 3 or first.dtype != np.float32 or (first.ndim > 1 and first.shape[-2] != batch):
            raise ShapeError(
                f'the initial state "{blob.name}" is {blob.spec()!r}; expected float, (steps x) {batch} x elements, '
                "or the elements alone"
            )
        before = len(first) if first.ndim == 3 else 1
        state = np.zeros((before + steps, batch, first.shape[-1]), np.float32)
        state[:before] = first
        return state

    def _space(self) -> Workspace:
        """The step net's workspace: linked blobs are its own, all others those around."""
        if self.step is None:
            space = Workspace(parent=self.definition.store)
            for name in (self.args.timestep, *(link.internal for link in self.links)):
                space.local(name)
            message = self.args.step_net
            message.name = message.name or f"{self.definition.net}/step_net"
            fix = self.definition.fix_defects
            self.step = space, [(space.bind(read_net(part), fix), _uses(part)[1]) for part in self._parts(message)]
        space = self.step[0]
        assert isinstance(space, Workspace)
        return space

    def _parts(self, message: Any) -> list[Any]:
        """The step net, cut behind operators that write what a window on the same tensor has to show."""
        cuts = [0]
        for i, op in enumerate(message.op):
            later = {name for after in message.op[i + 1 :] for name in after.input}
            windows = [link for link in self.links if link.internal in later - self.written]
            made = [link for link in self.links if link.internal in op.output]
            if any(link.meets(window) for link in made for window in windows):
                cuts.append(i + 1)
        if len(cuts) == 1:
            return [message]
        parts = []
        for begin, end in zip(cuts, [*cuts[1:], len(message.op)]):
            part = type(message)()
            part.CopyFrom(message)
            del part.external_input[:], part.external_output[:], part.op[end:], part.op[:begin]
            parts.append(part)
        return parts

    def _run_step(self, t: int, space: Workspace, around: dict[str, Any]) -> None:
        space.local(self.args.timestep).feed(np.array([t], np.int32))
        self._load(
            [v for v in self.links if v.internal in self.read or v.internal not in self.written], t, space, around
        )
        for i, (net, written) in enumerate(self.step[1]):
            if i:
                self._load([link for link in self.links if link.internal not in self.written], t, space, around)
            net.run()
            self._store(written, t, space, around)

    def _load(self, links: list[Link], t: int, space: Workspace, around: dict[str, Any]) -> None:
        for link in links:
            space.local(link.internal).feed(self._part(around, link, t))

    def _store(self, written: set[str], t: int, space: Workspace, around: dict[str, Any]) -> None:
        for link in self.links:
            if link.internal in written:
                part, made = self._part(around, link, t), space.local(link.internal)
                if made.spec().size != part.size or link.external not in self.states:
                    what = f'"{link.internal}" ({made.spec()!r})'
                    raise ShapeError(f'{what} is not {link.window} steps of "{link.external}", {part.shape}')
                part[...] = made.view().reshape(part.shape)

    @staticmethod
    def _part(around: dict[str, Any], link: Link, t: int) -> np.ndarray:
        tensor = around[link.external]
        begin = t + link.offset
        if not 0 <= begin <= len(tensor) - link.window:
            raise OperatorError(
                f'the link of "{link.internal}" wants {link.window} steps from {begin} on of "{link.external}", '
                f"which has {len(tensor)}"
            )
        part: np.ndarray = tensor[begin : begin + link.window]
        return part


def _from(state: np.ndarray, offset: int) -> np.ndarray:
    begin = offset if offset >= 0 else len(state) + offset
    if not 0 <= begin <= len(state):
        raise OperatorError(f"an alias begins at step {offset} of a state that has {len(state)}")
    return state[begin:]


def _uses(net: Any) -> tuple[set[str], set[str]]:
    """Blobs that a net reads before it writes them, and blobs that it writes."""
    read: set[str] = set()
    written: set[str] = set()
    for op in net.op:
        read |= set(op.input) - written
        written |= set(op.output)
    return read, written


@register("rnn_internal_apply_link")
class ApplyLink(PythonOperator):
    """internal = external[t + offset : t + offset + window]."""

    takes = ("int32", "any")

    def setup(self) -> None:
        if self.args.offset is None or self.args.window < 1:
            raise ArgumentError("needs the argument offset, and a window of 1 step or more")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return ins[1].dtype, ins[1].kind

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        if ins[1].kind != TENSOR or ins[1].dtype == dtypes.STRING:
            self.expect(ins, 1, "float")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        link = Link(self.outputs[0], self.inputs[1], self.args.offset, self.args.window)
        outputs[0][...] = RecurrentNetwork._part({link.external: inputs[1]}, link, int(inputs[0].flat[0]))
        if self.outputs[1] != self.inputs[1]:
            outputs[1][...] = inputs[1]
