"""The `simple` net: operators in order, every intermediate blob stays fetchable, as in Caffe2."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serverquant._base.errors import MissingBlobError, NetError, ServerquantError, placed
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.blobs.store import BlobStore, closest
from serverquant.proto.args import Arguments
from serverquant.proto.wire import NetFile
from serverquant.runtime import registry
from serverquant.runtime._plan import Plan
from serverquant.runtime.operator import Definition, Operator, place_of
from serverquant.runtime.options import options
from serverquant.runtime.plan_cache import PlanCache
from serverquant.runtime.planner import Planner

if TYPE_CHECKING:
    from serverquant.runtime.observe import Observer


def definitions(source: NetFile, fix_defects: bool, store: Any = None) -> Iterable[Definition]:
    """The operators of a net, in order; `store` holds the blobs that they will run on."""
    net = source.net
    for index, op in enumerate(net.op):
        yield Definition(
            type=op.type,
            inputs=tuple(op.input),
            outputs=tuple(op.output),
            arguments=_arguments(op, index, source),
            engine=op.engine,
            name=op.name,
            index=index,
            net=net.name,
            control_inputs=tuple(op.control_input),
            message=op,
            fix_defects=fix_defects,
            store=store,
        )


def _arguments(op: Any, index: int, source: NetFile) -> Arguments:
    try:
        return Arguments(op, source.payloads.get(index))
    except ServerquantError as error:
        raise error.at(place_of(op.type, op.name, index, source.net.name))


class SimpleNet:
    """A net bound to the blobs of a store.

    Creating it checks everything that needs no data: operators, engines, arguments, counts, in-place uses, and that
    every input comes from somewhere. Nothing in the store changes when that fails.
    """

    def __init__(self, source: NetFile, store: BlobStore, fix_defects: bool = False):
        self.name, self.proto, self.store = source.net.name, source.net, store
        self._check_sources()
        self.operators = [self._create(d) for d in definitions(source, fix_defects, store)]
        before = {name for op in self.operators for name in op.outputs if name in self.store}
        self._prepare()
        self._attach(before)
        self._caches: dict[Sequence[int], PlanCache] = {}
        self._first = self._plans_of(self._order()) if self.operators else None
        self._lock = threading.Lock()
        if options.fp_exceptions:
            from serverquant.runtime.checked import run_checked

            self.__dict__["run"] = lambda: run_checked(self)
        self._observers: list[Observer] = []

    def _prepare(self) -> None:
        """Find the operators' blobs. A parent's blob is read, never written: an output of its name is a blob of this
        store from here on."""
        self._inputs: list[list[Blob]] = []
        self._outputs: list[list[Blob]] = []
        for op in self.operators:
            self._inputs.append([self.store.create(name) for name in op.inputs])
            self._outputs.append([self.store.local(name) for name in op.outputs])

    def _attach(self, before: set[str]) -> None:
        """Let operators make what runs on the blobs. Where that fails, outputs that were not there `before` go."""
        for op in self.operators:
            try:
                op.attach()
            except ServerquantError as error:
                for name in {name for op in self.operators for name in op.outputs} - before:
                    self.store.remove(name)
                raise error.at(op.place)

    def inputs_of(self, index: int) -> list[Blob]:
        """The blobs that an operator reads."""
        return self._inputs[index]

    def reads(self) -> Iterator[tuple[Operator, int, Blob]]:
        """Every blob of the store that an operator reads, and as which input."""
        for operator, blobs in zip(self.operators, self._inputs):
            for i, blob in enumerate(blobs):
                yield operator, i, blob

    def outputs_of(self, index: int, ins: list[Spec], outs: list[Spec]) -> list[Blob]:
        """The blobs that an operator writes, asked for when the planner knows what it reads and writes."""
        return self._outputs[index]

    def _check_sources(self) -> None:
        """Every input is an external input, an earlier output, or (when none are declared) a blob that exists."""
        declared = set(self.proto.external_input)
        made: set[str] = set()
        for index, op in enumerate(self.proto.op):
            for name in op.input:
                if name in made or (name in declared and name in self.store):
                    continue
                place = place_of(op.type, op.name, index, self.name)
                if declared and name not in declared:
                    near = closest(name, [*declared, *made])
                    raise NetError(
                        f'the source of input "{name}" is unknown: it is no external input of the net, and no operator '
                        f"before this one makes it{near}"
                    ).at(place)
                if name not in self.store:
                    raise MissingBlobError(
                        f'input "{name}" does not exist: feed it, or run the init net that makes it, before the net is '
                        f"created{closest(name, self.store.names())}"
                    ).at(place)
            made.update(op.output)

    def _create(self, definition: Definition) -> Operator:
        try:
            return registry.create(definition)
        except (ServerquantError, MemoryError) as error:
            outputs = () if definition.inputs else definition.outputs
            raise placed(error, definition.place, outputs=outputs) from error.__cause__

    def redefine(self, messages: Mapping[int, Any]) -> None:
        """Make operators anew, by their index, from OperatorDefs that differ from theirs in small arguments alone. They
        begin as in a new net. Nothing has changed when one cannot be made."""
        made = {}
        for index, message in messages.items():
            before = self.operators[index].definition
            made[index] = self._create(replace(before, arguments=before.arguments.changed(message), message=message))
        with self._lock:
            for index, operator in made.items():
                self.operators[index] = operator
                self.proto.op[index].CopyFrom(operator.definition.message)
                operator.attach()
            self._caches.clear()
            self._first = self._plans_of(self._order())

    # ---- plans ----------------------------------------------------------------------------------------------------

    def _order(self) -> Sequence[int]:
        """All operators' indices in the order that a single thread takes."""
        return range(len(self.operators))

    def _plans_of(self, pending: Sequence[int]) -> PlanCache:
        return self._caches.setdefault(pending, PlanCache(self, pending, options.plans_kept))

    def build(self, pending: Sequence[int]) -> Plan:
        """A plan for these operators and the blobs' present shapes."""
        plan = self._fill(pending)
        plan.next = self._plans_of(plan.rest) if plan.rest else None
        return plan

    def _fill(self, pending: Sequence[int]) -> Plan:
        return Planner(self, Plan()).build(pending)

    # ---- running --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run all operators. An error leaves what earlier operators wrote; the net can be run again."""
        with self._lock:
            cache = self._first
            while cache is not None:
                plan = cache.fitting()
                plan.run()
                cache = plan.next

    # ---- observers ------------------------------------------------------------------------------------------------

    def attach(self, observer: Observer) -> None:
        """Have the observer told of every run from now on; see runtime/observe.py."""
        with self._lock:
            if not self._observers:
                self._unwatched = self.__dict__.get("run")
            self._observers.append(observer)
            self.__dict__["run"] = self._run_observed  # in the way of the method: without observers nobody asks for any

    def detach(self, observer: Observer) -> None:
        """Undo `attach`; ValueError when it is not attached."""
        with self._lock:
            self._observers.remove(observer)
            if not self._observers:
                del self.__dict__["run"]
                if self._unwatched is not None:
                    self.__dict__["run"] = self._unwatched

    def close(self) -> None:
        """Tell the observers that the workspace has forgotten the net."""
        for observer in list(self._observers):
            if hasattr(observer, "closed"):
                observer.closed(self)

    def _run_observed(self) -> None:
        parts = []
        with self._lock:
            observers = list(self._observers)
            watchers = [observer for observer in observers if hasattr(observer, "wrote")]
            begin = time.monotonic_ns()
            cache = self._first
            while cache is not None:
                plan = cache.fitting()
                parts.append((plan, plan.run_watched(watchers) if watchers else plan.run_stamped()))
                cache = plan.next
            end = time.monotonic_ns()
        for observer in observers:
            observer.ran(self, begin, end, parts)

    def run_timed(self) -> list[int]:
        """Run all operators one by one; nanoseconds of each, in the order of `last_plans`."""
        times: list[int] = []
        with self._lock:
            cache = self._first
            while cache is not None:
                plan = cache.fitting()
                times += plan.run_timed()
                cache = plan.next
        return times

    @property
    def last_plans(self) -> list[Plan]:
        """The plans that the last run took, in order."""
        plans: list[Plan] = []
        cache = self._first
        while cache is not None and cache.plans:
            plans.append(cache.plans[0])
            cache = plans[-1].next
        return plans

    @property
    def external_inputs(self) -> list[str]:
        return list(self.proto.external_input)

    @property
    def external_outputs(self) -> list[str]:
        return list(self.proto.external_output)

    def __repr__(self) -> str:
        return f'<net "{self.name}": {len(self.operators)} operators, type {self.proto.type or "simple"}>'
