"""Nets, steps, tasks and jobs as text, and a check that every blob is made before it is read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from serverquant.compat.caffe2.python.checkpoint import Job
from serverquant.compat.caffe2.python.task import Task, TaskGroup, WorkspaceType
from serverquant.core.net import Net
from serverquant.core.plan import ExecutionStep, Plan

# Blobs that the runtime of a distributed program brings along.
_GIVEN = ("distributed_ctx_init",)


# ---- checking ------------------------------------------------------------------------------------------------------


def analyze(what: Any) -> None:
    """AssertionError for a blob that is read and not made, or that several of those running at once make."""
    _analyze(what, {}, {})


def _groups(job: Job) -> list[TaskGroup]:
    return [job.init_group, job.epoch_group, job.download_group, job.exit_group]


def _analyze(what: Any, made: dict[str, int], nodes: dict[str, dict[str, int]]) -> None:
    """made: blobs that there are, with how often each was made; nodes: those of the global workspaces, by node."""
    if isinstance(what, Job):
        for group in _groups(what):
            _analyze(group, made, nodes)
    elif isinstance(what, TaskGroup):
        _analyze_group(what, nodes)
    elif isinstance(what, Task):
        _analyze(what.get_step(), nodes.setdefault(what.node, {}), nodes)
    elif isinstance(what, Plan):
        for step in what.Steps():
            _analyze(step, made, nodes)
    elif isinstance(what, ExecutionStep):
        _analyze_step(what, made, nodes)
    else:
        for op in what.Proto().op if isinstance(what, Net) else what.op:
            for name in op.input:
                assert name in made or name.startswith(_GIVEN), f"Blob undefined: {name}"
            for name in op.output:
                made[name] = made.get(name, 0) + 1


def _analyze_step(step: ExecutionStep, made: dict[str, int], nodes: dict[str, dict[str, int]]) -> None:
    message = step.Proto()
    made = copy.copy(made) if message.create_workspace else made
    if message.report_net:
        _analyze(step.get_net(message.report_net), copy.copy(made), nodes)
    parts = [*step.Substeps(), *(step.get_net(name) for name in message.network)]
    side_by_side: dict[str, int] = {}
    for part in parts:
        own = copy.copy(made) if message.concurrent_substeps else made
        _analyze(part, own, nodes)
        if message.should_stop_blob:
            assert message.should_stop_blob in own, f"Blob undefined: {message.should_stop_blob}"
        if message.concurrent_substeps:
            _together(side_by_side, {name: n for name, n in own.items() if name not in made})
    made.update(side_by_side)


def _together(all_new: dict[str, int], new: dict[str, int]) -> None:
    twice = sorted(all_new.keys() & new)
    assert not twice, f"made by several that run at once: {', '.join(twice)}"
    all_new.update(new)


def _analyze_group(group: TaskGroup, nodes: dict[str, dict[str, int]]) -> None:
    new_of_node: dict[str, dict[str, int]] = {}
    for task in [*group._tasks, *group._waiting]:
        made = nodes.setdefault(task.node, {})
        own = copy.copy(made)
        _analyze(task.get_step(), own, nodes)
        kind = task.workspace_type() or group.workspace_type()
        outputs = {str(name) for output in task.outputs() for name in output.names}
        kept = own if kind == WorkspaceType.GLOBAL else {n: c for n, c in own.items() if n in outputs}
        _together(new_of_node.setdefault(task.node, {}), {n: c for n, c in kept.items() if n not in made})
    for node, new in new_of_node.items():
        nodes[node].update(new)


# ---- printing ------------------------------------------------------------------------------------------------------


def to_string(what: Any) -> str:
    """The text of a net, step, plan, task, group or job."""
    return "\n".join(_lines(what))


def debug_net(net: Any) -> str:
    return to_string(net)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return ("    " + line for line in lines)


def _value(argument: Any) -> str:
    fields = [value for field, value in argument.ListFields() if field.name != "name"]
    if not fields:
        return "[]"
    value = fields[0]
    if hasattr(value, "extend"):
        value = list(value)
    text = f"net {value.name!r}" if hasattr(value, "op") else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _lines(what: Any) -> Iterator[str]:
    if isinstance(what, Job):
        for title, group in zip(("init", "epoch", "download", "exit"), _groups(what)):
            yield f"job group {title}:"
            yield from _indented(_lines(group))
    elif isinstance(what, TaskGroup):
        for task in [*what._tasks, *what._waiting]:
            yield from _lines(task)
    elif isinstance(what, Task):
        yield f"task {what.name} on {what.node}:"
        yield from _indented(_lines(what.get_step()))
        for output in what.outputs():
            yield f"    gives {', '.join(map(str, output.names))}"
    elif isinstance(what, Plan):
        for step in what.Steps():
            yield from _lines(step)
    elif isinstance(what, ExecutionStep):
        yield from _step_lines(what)
    else:
        net = what.Proto() if hasattr(what, "Proto") else what
        yield f"net {net.name}:"
        for op in net.op:
            arguments = "".join(f", {a.name}={_value(a)}" for a in op.arg)
            made = f"{', '.join(op.output)} = " if op.output else ""
            yield f"    {made}{op.type}({', '.join(op.input)}{arguments})"


def _step_lines(step: ExecutionStep) -> Iterator[str]:
    message = step.Proto()
    said = [f"{field.name}={value}" for field, value in message.ListFields() if field.name in _SAID]
    yield f"step {step.Name()}{': ' if said else ''}{', '.join(said)}"
    for part in [*step.Substeps(), *(step.get_net(name) for name in message.network)]:
        yield from _indented(_lines(part))


_SAID = (
    "num_iter",
    "concurrent_substeps",
    "should_stop_blob",
    "only_once",
    "num_concurrent_instances",
    "create_workspace",
    "run_every_ms",
)
