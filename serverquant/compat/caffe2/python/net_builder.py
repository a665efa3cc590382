"""Nets, loops and branches written as Python blocks.

    with NetBuilder() as nb:
        n = ops.Const(5)
        with ops.loop():
            ops.stop_if(ops.LE([n, ops.Const(0)]))
            ops.Add([n, ops.Const(-1)], [n])
    workspace.RunPlan(core.to_execution_step(nb))

A builder gathers nets and further builders; each becomes a step. Stopping a step sets its stop blob. IfNet and WhileNet
make operators If and While instead.
"""

from __future__ import annotations

from typing import Any

from serverquant import core
from serverquant.compat.caffe2.python import context
from serverquant.compat.caffe2.python.control_ops_util import add_if_op, add_while_op
from serverquant.compat.caffe2.python.task import Task, TaskGroup
from serverquant.core.net import Net


class NetBuilder(context.Managed):
    """Gathers the nets that are built inside `with`.

    initial_scope: blobs that are there already. Other arguments are for the builders below.
    """

    uses_operators = False  # IfNet and its like: one net instead of steps

    def __init__(
        self,
        name: str | None = None,
        initial_scope: Any = None,
        _stop_blob_required: bool = False,
        _stop_blob: Any = None,
        _fullname: str | None = None,
    ):
        around = NetBuilder.current(required=False)
        self.name = _fullname or "/".join(n for n in (around.name if around else None, name) if n)
        self._children: list[Any] = []
        self._net: Any = None
        self._frozen = False
        self._outer: set[str] = {str(b) for b in initial_scope or ()} | (around.scope() if around else set())
        self._stop_blob, self._needs_stop = _stop_blob, _stop_blob_required

    def scope(self) -> set[str]:
        """Names of the blobs that can be seen here by now."""
        seen = set(self._outer)
        for child in self._children:
            if isinstance(child, Net):
                seen |= child.UsedBlobNames()
            elif isinstance(child, NetBuilder) and child.uses_operators:
                seen |= child.scope()
        return seen

    # ---- gathering ------------------------------------------------------------------------------------------------

    def add(self, child: Any) -> Any:
        """The next net, builder, or task group."""
        assert not self._frozen, f"builder {self.name} is done"
        self._net = child if isinstance(child, Net) else None
        self._children.append(child)
        return child

    def current_net(self, name: str | None = None) -> Net:
        """The net that operators go to; a new one after a builder, or with a name."""
        if self._net is None or name is not None:
            self.add(Net(name or "net"))
        return self._net

    def freeze(self) -> None:
        for child in self._children:
            if hasattr(child, "freeze"):
                child.freeze()
        self._net, self._frozen = None, True

    def get(self) -> list[Any]:
        """The nets and builders, from now on unchangeable."""
        self.freeze()
        return self._children

    def _taken(self) -> list[Any]:
        children, self._children, self._net = self._children, [], None
        return children

    # ---- stopping -------------------------------------------------------------------------------------------------

    def stop_blob(self) -> Any:
        """The blob that ends this builder's step; made, and false at first, when it is first asked for."""
        assert not self.uses_operators, "a builder of operators cannot be stopped"
        if self._stop_blob is None:
            net = self.current_net()
            self._stop_blob = core.BlobReference(net.NextName("stop_blob"), net)
            net.Const(False, blob_out=self._stop_blob)
            if net is not self._children[0]:
                first = Net("stop_blob_init")
                first.Const(False, blob_out=self._stop_blob)
                self._children.insert(0, first)
        return self._stop_blob

    def stop_if(self, blob: Any) -> None:
        stop = self.stop_blob()
        ops.Or([stop, blob], [stop])
        self._net = None  # the blob is looked at after every net

    def __exit__(self, kind: Any, *exc: Any) -> None:
        super().__exit__(kind, *exc)
        if kind is None and self.uses_operators and self._children:
            self._children = [merged(self._taken(), self.scope())]
        self.freeze()
        if kind is None:
            assert not self._needs_stop or self._stop_blob is not None, f"builder {self.name} never stops"

    def __str__(self) -> str:
        return self.name or "a builder without name"


def merged(parts: list[Any], scope: set[str]) -> Any:
    """One net of nets and builders of operators, with those outputs that the scope knows; None of nothing."""
    whole = None
    for part in parts:
        net = part.get()[0] if isinstance(part, NetBuilder) else part
        whole = net if whole is None else whole.AppendNet(net)
    if whole is not None:
        message = whole.Proto()
        message.external_output[:] = [name for name in message.external_output if name in scope]
    return whole


Net.prefixes.append(lambda: getattr(NetBuilder.current(required=False), "name", "") or "")


class Operations:
    """`ops`: operators go to the current builder's net; the rest are blocks."""

    def net(self, net: Any = None, name: str | None = None) -> Any:
        """Add a net; or the current one, a new one of that name."""
        builder = NetBuilder.current()
        return builder.add(net) if net is not None else builder.current_net(name)

    def __getattr__(self, op_type: str) -> Any:
        if op_type.startswith("__") or NetBuilder.current(required=False) is None:
            raise AttributeError(f"no NetBuilder is at work for {op_type}")
        return getattr(self.net(), op_type)

    def task_group(self) -> TaskGroup:
        """A group of tasks as the next step."""
        return NetBuilder.current().add(TaskGroup())

    def stop(self) -> None:
        """End the current step."""
        self.stop_if(self.Const(True))

    def stop_if(self, blob: Any) -> None:
        """End the current step if the blob is true."""
        NetBuilder.current().stop_if(blob)

    def loop(self, iters: Any = None, name: str | None = None) -> Loop:
        """Repeat the block, so many times (a number or a blob), or until it is stopped."""
        return NetBuilder.current().add(Loop(iters, name))

    def stop_guard(self, has_stopped_blob: Any = None, name: str | None = None) -> StopGuard:
        """A block that may be stopped without stopping what is around it."""
        return NetBuilder.current().add(StopGuard(has_stopped_blob, name))

    def If(self, cond: Any, name: str | None = None) -> Branch:
        """Run the block if the blob is true. `Elif` and `Else` of the result go on."""
        return NetBuilder.current().add(Branch(cond, name))

    def IfNet(self, cond: Any, name: str | None = None) -> IfNet:
        """The same by operator If."""
        return NetBuilder.current().add(IfNet(cond, name))

    def Else(self, name: str | None = None) -> ElseNet:
        """The other branch of the IfNet just before."""
        return ElseNet(name)

    def WhileNet(self, name: str | None = None) -> WhileNet:
        """Repeat the block, behind a `Condition`, by operator While."""
        return NetBuilder.current().add(WhileNet(name))

    def Condition(self, name: str | None = None) -> Condition:
        """The condition of the WhileNet around: the last operator's output."""
        return Condition(name)

    def _setup(self, key: str, when: str, name: str | None = None) -> Setup:
        setup = Setup(when, name)
        self.net().add_attribute(key, setup)
        return setup

    def task_init(self) -> Setup:
        """Run once before all instances of the task."""
        return self._setup(Task.TASK_SETUP, "init")

    def task_exit(self) -> Setup:
        """Run once after all instances of the task."""
        return self._setup(Task.TASK_SETUP, "exit")

    def task_instance_init(self) -> Setup:
        """Run before each instance of the task."""
        return self._setup(Task.TASK_INSTANCE_SETUP, "init")

    def task_instance_exit(self) -> Setup:
        """Run after each instance of the task."""
        return self._setup(Task.TASK_INSTANCE_SETUP, "exit")

    def local_init(self) -> Setup:
        """Run once before all tasks of the group."""
        return self._setup(TaskGroup.LOCAL_SETUP, "init")

    def local_exit(self, name: str | None = None) -> Setup:
        """Run once after all tasks of the group."""
        return self._setup(TaskGroup.LOCAL_SETUP, "exit", name)

    def task_reporter(self, interval_ms: int = 1000, name: str | None = None) -> Reporter:
        """Run at an interval as long as the task runs, and once after it."""
        return Reporter(interval_ms, self.net(), name)

    def local_reporter(self, interval_ms: int = 1000, name: str | None = None) -> Reporter:
        """Run at an interval as long as the group runs, and once after it."""
        return Reporter(interval_ms, None, name)


ops = Operations()


# ---- steps ---------------------------------------------------------------------------------------------------------


class Setup(NetBuilder):
    """Runs before or after something: an attribute that get_setup_nets asks."""

    def __init__(self, when: str, name: str | None = None):
        super().__init__(name)
        self.when = when

    def setup(self, net: Any) -> Any:
        return core.to_execution_step(self) if self.when == "init" else None

    def exit(self, net: Any) -> Any:
        return core.to_execution_step(self) if self.when == "exit" else None


class Reporter(NetBuilder):
    def __init__(self, interval_ms: int, net: Any, name: str | None):
        super().__init__(name)
        self.interval_ms, self._reported = interval_ms, net

    def __exit__(self, kind: Any, *exc: Any) -> None:
        super().__exit__(kind, *exc)
        if kind is not None:
            return
        step = core.to_execution_step(self)
        step.RunEveryMillis(self.interval_ms)
        if self._reported is not None:
            self._reported.add_attribute(Task.REPORT_STEP, step)
        else:
            TaskGroup.current().report_step(step, interval_ms=self.interval_ms)


class Once(NetBuilder):
    """A block that ends after one round even where it repeats because it can be stopped."""

    def __exit__(self, kind: Any, *exc: Any) -> None:
        if kind is None and self._stop_blob is not None:
            ops.stop()
        super().__exit__(kind, *exc)


class StopGuard(Once):
    def __init__(self, has_stopped_blob: Any, name: str | None):
        super().__init__(name)
        self._stopped, self._done = has_stopped_blob, False

    def __enter__(self) -> StopGuard:
        super().__enter__()
        self._stopped = ops.Const(True, blob_out=self._stopped)
        return self

    def __exit__(self, kind: Any, *exc: Any) -> None:
        if kind is None:
            self._done = True
            ops.Const(False, blob_out=self._stopped)
        super().__exit__(kind, *exc)

    def has_stopped(self) -> Any:
        """A bool blob: whether the block was stopped."""
        assert self._done, "the block has not ended"
        return self._stopped


class Loop(NetBuilder):
    def __init__(self, iters: Any, name: str | None):
        super().__init__(name, _stop_blob_required=True)
        self._count = iters
        if iters is not None:
            self._one, self._at = ops.Const(1), ops.Const(0)
            self._count = iters if isinstance(iters, core.BlobReference) else ops.Const(iters)

    def iter(self) -> Any:
        """The number of the round, from 0."""
        assert self._count is not None, "the loop does not count"
        return self._at

    def __enter__(self) -> Loop:
        super().__enter__()
        if self._count is not None:
            ops.stop_if(ops.GE([self._at, self._count]))
        return self

    def __exit__(self, kind: Any, *exc: Any) -> None:
        if kind is None and self._count is not None:
            self.current_net().Add([self._at, self._one], [self._at])
        super().__exit__(kind, *exc)


class Branch(Once):
    """A branch: it is stopped at once if its condition is false or another branch has run."""

    def __init__(self, cond: Any = None, name: str | None = None, _ran: Any = None):
        super().__init__(name)
        self._is_else = cond is None
        if _ran is None:
            self._skip, self._ran = ops.Not(cond), ops.Const(False)
        else:
            self._ran = _ran
            self._skip = _ran if cond is None else ops.Or([_ran, ops.Not(cond)])

    def __enter__(self) -> Branch:
        super().__enter__()
        ops.stop_if(self._skip)
        ops.Const(True, blob_out=self._ran)
        return self

    def Elif(self, cond: Any, name: str | None = None) -> Branch:
        assert not self._is_else, "nothing comes after Else"
        return NetBuilder.current().add(Branch(cond, name or self.name, self._ran))

    def Else(self, name: str | None = None) -> Branch:
        assert not self._is_else, "nothing comes after Else"
        return NetBuilder.current().add(Branch(None, name or self.name, self._ran))


# ---- operators If and While ------------------------------------------------------------------------------------------


class IfNet(NetBuilder):
    uses_operators = True

    def __init__(self, cond: Any, name: str | None = None):
        super().__init__(name)
        self.cond, self.then_net = cond, Net("then")

    def __exit__(self, kind: Any, *exc: Any) -> None:
        if kind is None:
            self.then_net = merged(self._taken(), self.scope()) or Net("empty_then")
            self.build(None)
        super().__exit__(kind, *exc)

    def build(self, else_net: Any) -> None:
        """The net of the If operator, with or without the other branch."""
        net = Net(f"{self.name}/if_net")
        add_if_op(net, self.cond, self.scope(), self.then_net, else_net)
        self._children = [net]


class ElseNet(NetBuilder):
    uses_operators = True

    def __init__(self, name: str | None = None):
        super().__init__(name)
        around = NetBuilder.current()
        last = around._children[-1] if around._children else None
        assert isinstance(last, IfNet), "Else comes right after an IfNet"
        self._if = last

    def __exit__(self, kind: Any, *exc: Any) -> None:
        if kind is None:
            net = merged(self._taken(), self.scope())
            if net is not None:
                self._if._children = []
                self._if.build(net)
        super().__exit__(kind, *exc)


class WhileNet(NetBuilder):
    uses_operators = True

    def __init__(self, name: str | None = None):
        super().__init__(name)
        self.condition: Condition | None = None

    def __exit__(self, kind: Any, *exc: Any) -> None:
        if kind is None:
            assert self.condition is not None, "a WhileNet begins with its Condition"
            body = merged(self._taken(), self.scope()) or Net("empty_loop")
            net = Net(f"{self.name}/while_net")
            add_while_op(net, self.condition.blob, self.scope(), body, self.condition.net)
            self._children = [net]
        super().__exit__(kind, *exc)


class Condition(NetBuilder):
    uses_operators = True

    def __init__(self, name: str | None = None):
        super().__init__(name)
        around = NetBuilder.current()
        assert isinstance(around, WhileNet), "a Condition stands in a WhileNet"
        assert not around.condition, "a WhileNet has one Condition"
        assert not around._children, "a WhileNet begins with its Condition"
        around.condition = self
        self.blob: Any = None
        self.net: Any = None

    def __exit__(self, kind: Any, *exc: Any) -> None:
        if kind is None:
            self.net = merged(self._taken(), self.scope())
            assert self.net is not None, "the condition is empty"
            assert len(self.net.Proto().op[-1].output) == 1, "the condition's last operator makes one blob"
            self.blob = core.BlobReference(self.net.Proto().op[-1].output[0])
            self._children = [self.net]
        super().__exit__(kind, *exc)
