"""Operators that run nets: their default engines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, DTypeError, NetError, ServerquantError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.control.scope import InnerWorkspace, Scope, root_folder_of
from serverquant.proto.wire import read_net
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.options import options
from serverquant.runtime.registry import register


class NetOperator(Operator):
    """Base: `call` runs nets that `bind` has made."""

    any_inputs = True
    by_name = True

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        raise NotImplementedError

    def need(self, *names: str) -> None:
        """ArgumentError unless these nets are given."""
        for name in names:
            if getattr(self.args, name) is None:
                raise ArgumentError(f"{self.type} needs the argument {name}, a net")

    def bind(self, name: str, store: Any = None) -> Any:
        """The net of an argument, on the blobs around or in `store`; None if it is not given. A net without a name is
        called after its operator."""
        message = getattr(self.args, name)
        if message is None:
            return None
        if not message.name:
            message.name = f"{self.definition.net}/{self.type}.{name}"
        store = self.definition.store if store is None else store
        return store.bind(read_net(message), fix_defects=self.definition.fix_defects)

    def condition(self, blob: Blob, what: str = "the condition") -> bool:
        """The one bool in a blob."""
        spec = blob.spec()
        if spec.kind != TENSOR or spec.dtype != dtypes.BOOL:
            raise DTypeError(f'{what} "{blob.name}" is {spec!r}; expected one bool')
        if spec.size != 1:
            raise ShapeError(f'{what} "{blob.name}" is {spec!r}; expected one bool')
        return bool(blob.view().item())

    def rounds(self) -> Iterable[int]:
        """0, 1, 2, ... and an error where a loop has gone on for too long."""
        given = self.args.max_iterations
        limit = options.max_loop_iterations if given is None else given
        done = 0
        while not limit or done < limit:
            yield done
            done += 1
        raise ServerquantError(
            f"the loop has run {limit} rounds without an end; raise the argument max_iterations or "
            "options.max_loop_iterations (0: no limit) if it is meant to"
        )


@register("If", "AsyncIf")
class If(NetOperator):
    def setup(self) -> None:
        self.need("then_net")

    def attach(self) -> None:
        self.nets = {True: self.bind("then_net"), False: self.bind("else_net")}

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        net = self.nets[self.condition(inputs[0])]
        if net is not None:
            net.run()


@register("While")
class While(NetOperator):
    def setup(self) -> None:
        self.need("loop_net")

    def attach(self) -> None:
        self.cond_net, self.loop_net = self.bind("cond_net"), self.bind("loop_net")

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        for _ in self.rounds():
            if self.cond_net is not None:
                self.cond_net.run()
            if not self.condition(inputs[0]):
                return
            self.loop_net.run()


@register("CreateScope")
class CreateScope(NetOperator):
    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        outputs[0].feed_object(Scope())


def _scope(blob: Blob) -> Scope:
    if not isinstance(blob.value, Scope):
        raise DTypeError(f'"{blob.name}" holds {blob.spec()!r}; expected what CreateScope makes')
    return blob.value


@register("HasScope")
class HasScope(NetOperator):
    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.BOOL, TENSOR

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        outputs[0].view()[...] = _scope(inputs[0]).last is not None


@register("Do")
class Do(NetOperator):
    def setup(self) -> None:
        self.need("net")
        try:
            inner = [name.decode() for name in self.args.inner_blobs]
        except UnicodeDecodeError as error:
            raise ArgumentError(f"argument inner_blobs holds a name that is not UTF-8: {error.object!r}") from error
        numbers = self.args.outer_blobs_idx
        outer = [*self.inputs[:-1], *self.outputs[:-1]]
        if self.inputs[-1] != self.outputs[-1]:
            raise ArgumentError(
                f'last input "{self.inputs[-1]}" and last output "{self.outputs[-1]}" must be one blob: the scope'
            )
        if len(inner) != len(numbers):
            raise ArgumentError(f"{len(inner)} inner_blobs do not go with {len(numbers)} outer_blobs_idx")
        for name, number in zip(inner, numbers):
            if not 0 <= number < len(outer):
                raise ArgumentError(f'outer_blobs_idx of "{name}" is {number}; there are {len(outer)} blobs around')
        self.bound = {name: outer[number] for name, number in zip(inner, numbers)}

    def attach(self) -> None:
        self.own = InnerWorkspace(root_folder_of(self.definition.store))
        self._bind_blobs(self.own)
        # One that goes on in another's workspace can only be bound once that is there.
        self.net: Any = None if self.args.reuse_workspace else self.bind("net", self.own)
        self.net_in: InnerWorkspace | None = None if self.args.reuse_workspace else self.own

    def _bind_blobs(self, space: InnerWorkspace) -> None:
        for inner, outer in self.bound.items():
            space.bind_blob(inner, self.definition.store.create(outer))

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        scope = _scope(inputs[-1])
        if not self.args.reuse_workspace:
            self.own.forget_own()
            scope.last = self.own
        elif scope.last is None:
            scope.last = self.own
        if scope.last is not self.net_in:
            self._bind_blobs(scope.last)
            self.net, self.net_in = self.bind("net", scope.last), scope.last
        self.net.run()


@register("ONNXWhile")
class ONNXWhile(NetOperator):
    def setup(self) -> None:
        self.need("body")
        carried = self.args.num_loop_carried_deps
        self.n_carried = len(self.inputs) - 2 if carried < 0 else carried
        body = self.args.body
        if self.n_carried > len(self.inputs) - 2:
            raise ArgumentError(f"num_loop_carried_deps is {self.n_carried}, but there are {len(self.inputs)} inputs")
        if len(body.external_input) < 2 + self.n_carried:
            raise NetError(
                f"the body has {len(body.external_input)} external inputs; expected the round, the condition and "
                f"{self.n_carried} more"
            )
        self.n_gathered = len(body.external_output) - 1 - self.n_carried
        if self.n_gathered < 0 or len(self.outputs) != self.n_carried + self.n_gathered:
            raise NetError(
                f"the body has {len(body.external_output)} external outputs, the operator {len(self.outputs)} outputs; "
                f"expected the condition, {self.n_carried} values and more, and all but the condition as outputs"
            )

    def attach(self) -> None:
        shared = self.args.disable_scopes
        self.space = self.definition.store if shared else InnerWorkspace(root_folder_of(self.definition.store))
        body = self.args.body
        self.round, self.cond_in, *self.carried_in = (
            self.space.create(n) for n in body.external_input[: 2 + self.n_carried]
        )
        self.net = self.bind("body", self.space)
        self.cond_out, *made = (self.space.create(n) for n in body.external_output)
        self.carried_out, self.gathered = made[: self.n_carried], made[self.n_carried :]

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        go_on = bool(inputs[1].view().item()) if self.args.has_cond else True
        limit = self._trip_count(inputs[0]) if self.args.has_trip_count else None
        for blob, given in zip(self.carried_in, inputs[2:]):
            _copy(given, blob)
        self.round.feed(np.int64(0))
        rows: list[list[np.ndarray]] = [[] for _ in self.gathered]
        for at in self.rounds() if limit is None else range(max(limit, 0)):
            if not go_on:
                break
            self.cond_in.feed(np.array([go_on]))
            self.net.run()
            if self.args.has_cond:
                go_on = self.condition(self.cond_out, "the body's condition")
            # All values first: one may be made of another.
            made = [blob.fetch() for blob in self.carried_out]
            for gathered, blob in zip(rows, self.gathered):
                gathered.append(blob.fetch())
            for blob, value in zip(self.carried_in, made):
                blob.feed(value)
            self.round.feed(np.int64(at + 1))
        for blob, source in zip(outputs, self.carried_in):
            _copy(source, blob)
        for blob, gathered in zip(outputs[self.n_carried :], rows):
            blob.feed(self._together(gathered, blob))

    def _trip_count(self, blob: Blob) -> int:
        spec = blob.spec()
        if spec.dtype != dtypes.INT64 or spec.size != 1:
            raise DTypeError(f'the trip count "{blob.name}" is {spec!r}; expected one int64')
        return int(blob.view().item())

    def _together(self, rows: list[np.ndarray], blob: Blob) -> np.ndarray:
        if not rows:
            return np.empty(0, np.int32)
        if len(rows) == 1 and not self.definition.fix_defects:
            return rows[0]
        for row in rows:
            if row.shape != rows[0].shape:
                raise ShapeError(f'value {row.shape} of "{blob.name}" does not go with {rows[0].shape} of round 0')
        return np.concatenate(rows) if rows[0].ndim and rows[0].shape[0] == 1 else np.stack(rows)


def _copy(source: Blob, target: Blob) -> None:
    target.feed(source.view())
