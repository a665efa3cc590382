"""Plans: nets in steps that repeat, nest, and run side by side. `workspace.RunPlan` runs them."""

from __future__ import annotations

from typing import Any

from serverquant import proto
from serverquant._base.errors import NetError
from serverquant.core.net import Net, get_net_name
from serverquant.core.references import BlobReference, ScopedName


class ExecutionStep:
    """Nets, or further steps, with what is said of their repetition. It cannot change once it is part of another."""

    _taken: set[str] = set()

    def __init__(self, name: str | None, nets: Any = None, num_iter: int | None = None):
        self._step = proto.ExecutionStep(name=name or self._unique())
        self._nets: dict[str, Any] = {}
        self._substeps: list[ExecutionStep] = []
        self._is_used = False
        for net in [nets] if isinstance(nets, Net) else nets or ():
            self._remember(net)
            self._step.network.append(get_net_name(net))
        if num_iter is not None:
            self._step.num_iter = num_iter

    @classmethod
    def _unique(cls) -> str:
        found, number = "step", 0
        while found in cls._taken:
            number += 1
            found = f"step_{number}"
        cls._taken.add(found)
        return found

    def _remember(self, net: Any) -> None:
        name = get_net_name(net)
        if self._nets.setdefault(name, net) is not net:
            raise NetError(f'step "{self.Name()}" has another net "{name}" already')

    def _changing(self) -> proto.ExecutionStep:
        if self._is_used:
            raise NetError(f'step "{self.Name()}" is part of a plan or step and cannot change any more')
        return self._step

    def Name(self) -> str:
        return self._step.name

    def __str__(self) -> str:
        return self._step.name

    def Proto(self) -> Any:
        return self._step

    def get_net(self, name: str) -> Any:
        return self._nets[name]

    def HasNets(self) -> bool:
        return bool(self._step.network)

    def HasSubsteps(self) -> bool:
        return bool(self._step.substep)

    def Nets(self) -> list[Any]:
        """Nets of this step and of those in it."""
        return list(self._nets.values())

    def Substeps(self) -> list[ExecutionStep]:
        return self._substeps

    def AddNet(self, net: Any) -> ExecutionStep:
        step = self._changing()
        if self.HasSubsteps():
            raise NetError(f'step "{self.Name()}" has steps in it and cannot have nets too')
        self._remember(net)
        step.network.append(get_net_name(net))
        return self

    def AddSubstep(self, substep: Any) -> ExecutionStep:
        """A step, or its message; one without nets and steps is left out."""
        step = self._changing()
        if self.HasNets():
            raise NetError(f'step "{self.Name()}" has nets and cannot have steps too')
        if isinstance(substep, ExecutionStep):
            substep._is_used = True
            if not substep.HasNets() and not substep.HasSubsteps():
                return self
            for net in substep.Nets():
                self._remember(net)
            self._substeps.append(substep)
            substep = substep.Proto()
        step.substep.add().CopyFrom(substep)
        return self

    def SetIter(self, num_iter: int) -> None:
        self._changing().num_iter = num_iter

    def SetCreateWorkspace(self, create_workspace: bool) -> None:
        self._changing().create_workspace = create_workspace

    def SetNumConcurrentInstances(self, num_concurrent_instances: int) -> None:
        self._changing().num_concurrent_instances = num_concurrent_instances

    def SetConcurrentSubsteps(self, concurrent_substeps: bool) -> None:
        self._changing().concurrent_substeps = concurrent_substeps

    def SetOnlyOnce(self, only_once: bool) -> None:
        self._changing().only_once = only_once

    def SetShouldStopBlob(self, should_stop_blob: BlobReference) -> None:
        """A bool blob; once it is true, after a net or step in it has run, the step ends."""
        self._changing().should_stop_blob = str(should_stop_blob)

    def RunEveryMillis(self, interval: int) -> None:
        """Run again and again at this interval as long as the steps beside it run, and once after them."""
        self._step.run_every_ms = interval

    def SetReportNet(self, report_net: Net, report_interval: int) -> None:
        step = self._changing()
        self._remember(report_net)
        step.report_net = get_net_name(report_net)
        step.report_interval = report_interval

    def get_all_attributes(self, name: str) -> list[Any]:
        """The attributes of that name of all its nets (`Net.add_attribute`)."""
        return [value for net in self._nets.values() for value in net.get_attributes(name)]

    @classmethod
    def create_from_proto(cls, step: Any, nets: dict[str, Net], protos: dict[str, Any]) -> ExecutionStep:
        """A step of its message; nets are made of `protos` when first needed, and kept in `nets`."""
        parts: list[Any] = [cls.create_from_proto(s, nets, protos) for s in step.substep]
        for name in step.network:
            if name not in nets:
                nets[name] = Net(protos[name])
            parts.append(nets[name])
        given = {f.name: value for f, value in step.ListFields() if f.name in _OPTIONS}
        if "should_stop_blob" in given:
            given["should_stop_blob"] = BlobReference(step.should_stop_blob)
        return execution_step(step.name, parts, **given)


_OPTIONS = (
    "num_iter",
    "concurrent_substeps",
    "should_stop_blob",
    "only_once",
    "num_concurrent_instances",
    "create_workspace",
    "run_every_ms",
)


def _in_order(step: ExecutionStep, names: list[str]) -> list[str]:
    """Names of a step's nets as they come."""
    for inner in step.Substeps():
        _in_order(inner, names)
    message = step.Proto()
    for name in [*message.network, message.report_net]:
        if name and name not in names:
            names.append(name)
    return names


class Plan:
    """Steps one after the other, with the nets that they name."""

    def __init__(self, name_or_step: Any):
        self._plan = proto.PlanDef()
        self._nets: dict[str, Any] = {}
        self._steps: list[ExecutionStep] = []
        if isinstance(name_or_step, ExecutionStep):
            self._plan.name = name_or_step.Name()
            self.AddStep(name_or_step)
        else:
            self._plan.name = str(name_or_step)

    def __str__(self) -> str:
        return self._plan.name

    def Proto(self) -> Any:
        return self._plan

    def AddNets(self, nets: Any) -> None:
        for net in nets:
            name = get_net_name(net)
            if name not in self._nets:
                self._nets[name] = net
                self._plan.network.add().CopyFrom(net.Proto())
            elif self._nets[name] is not net:
                raise NetError(f'plan "{self}" has another net "{name}" already')

    def Nets(self) -> list[Any]:
        return list(self._nets.values())

    def AddStep(self, step: ExecutionStep) -> None:
        step._is_used = True
        if not step.HasNets() and not step.HasSubsteps():
            return
        self._plan.execution_step.add().CopyFrom(step.Proto())
        self._steps.append(step)
        self.AddNets([step.get_net(name) for name in _in_order(step, [])])

    def Steps(self) -> list[ExecutionStep]:
        return self._steps

    def get_all_attributes(self, name: str) -> list[Any]:
        return [value for net in self._nets.values() for value in net.get_attributes(name)]

    @classmethod
    def create_from_proto(cls, message: Any) -> Plan:
        """A plan of its message; its nets get names of their own where the old ones are taken."""
        plan = cls(message.name)
        nets: dict[str, Net] = {}
        protos = {net.name: net for net in message.network}
        for step in message.execution_step:
            plan.AddStep(ExecutionStep.create_from_proto(step, nets, protos))
        return plan


def execution_step(
    default_name: str | None,
    steps_or_nets: Any,
    num_iter: int | None = None,
    report_net: Any = None,
    report_interval: int | None = None,
    concurrent_substeps: bool | None = None,
    should_stop_blob: BlobReference | None = None,
    only_once: bool | None = None,
    num_concurrent_instances: int | None = None,
    create_workspace: bool = False,
    run_every_ms: int | None = None,
) -> ExecutionStep:
    """A step of nets or steps, one or several, with its options. Without `num_iter` and `should_stop_blob` it runs
    once; both together make no sense."""
    if should_stop_blob is not None and num_iter is not None:
        raise NetError("a step cannot have both should_stop_blob and num_iter")
    step = ExecutionStep(default_name)
    if should_stop_blob is not None:
        step.SetShouldStopBlob(should_stop_blob)
    else:
        step.SetIter(1 if num_iter is None else num_iter)
    if only_once is not None:
        step.SetOnlyOnce(only_once)
    if concurrent_substeps is not None:
        step.SetConcurrentSubsteps(concurrent_substeps)
    if report_net is not None:
        step.SetReportNet(report_net, report_interval or 0)
    if num_concurrent_instances is not None:
        step.SetNumConcurrentInstances(num_concurrent_instances)
    if create_workspace:
        step.SetCreateWorkspace(True)
    if run_every_ms:
        step.RunEveryMillis(run_every_ms)
    _fill(step, steps_or_nets)
    return step


def _fill(step: ExecutionStep, parts: Any) -> None:
    if isinstance(parts, ExecutionStep):
        step.AddSubstep(parts)
    elif isinstance(parts, Net):
        step.AddNet(parts)
    elif isinstance(parts, (list, tuple)):
        for part in parts:
            if all(isinstance(p, Net) for p in parts):
                step.AddNet(part)
            else:
                step.AddSubstep(to_execution_step(part))
    elif parts:
        raise NetError(f"a step is made of steps and nets, not of a {type(parts).__name__}")


def to_execution_step(part: Any, default_name: str | None = None) -> ExecutionStep:
    """A step of a net, of a step, or of a builder of them (what has `get()`, and perhaps a `_stop_blob`)."""
    if isinstance(part, ExecutionStep):
        return part
    default_name = default_name or getattr(part, "name", None)
    stop_blob = None
    if not isinstance(part, (Net, list, tuple)) and hasattr(part, "get"):
        stop_blob = getattr(part, "_stop_blob", None)
        part = part.get()
    return execution_step(default_name, part, should_stop_blob=stop_blob)


def scoped_execution_step(name: str | None, *args: Any, **kwargs: Any) -> ExecutionStep:
    """execution_step with the current scope's prefix in its name."""
    return execution_step(ScopedName(name) if name else name, *args, **kwargs)
