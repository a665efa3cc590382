"""Tasks: steps with what runs before and after them, gathered in groups whose tasks run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from serverquant import core
from serverquant.compat.caffe2.python import context
from serverquant.compat.caffe2.python.schema import Field, from_blob_list
from serverquant.core.net import Net
from serverquant.core.plan import ExecutionStep


class Cluster(context.DefaultManaged):
    """Names of the nodes in use."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Any]] = {}

    def add_node(self, node: Node) -> None:
        self._nodes.setdefault(str(node), {}).update(node.kwargs())

    def nodes(self) -> list[str]:
        return list(self._nodes)

    def node_kwargs(self) -> dict[str, dict[str, Any]]:
        return self._nodes


class Node(context.DefaultManaged):
    """Tasks made inside belong to this node, by name."""

    def __init__(self, node: Any = "local", **kwargs: Any):
        self._name, self._kwargs = str(node), kwargs
        Cluster.current().add_node(self)

    def __str__(self) -> str:
        return self._name

    def kwargs(self) -> dict[str, Any]:
        return self._kwargs


class WorkspaceType:
    """Whether a task's blobs live on (GLOBAL) or go with its run (PRIVATE)."""

    PRIVATE = "private"
    GLOBAL = "global"


def _parts(made: Any) -> list[Any]:
    if made is None:
        return []
    return list(made) if isinstance(made, (list, tuple)) else [made]


def get_setup_nets(key: str, parts: Iterable[Any], target: Any) -> tuple[list[Any], list[Any]]:
    """What the attributes of that name want to run before and after: each attribute is asked once, by `setup(net)` and
    `exit(net)`, which may add to the net or return nets and steps."""
    nets = {"setup": Net(f"{key}/init"), "exit": Net(f"{key}/exit")}
    wanted: dict[str, list[Any]] = {"setup": [], "exit": []}
    for part in parts:
        get = getattr(part, "get_all_attributes", None) or part.get_attributes
        for attribute in get(key):
            if getattr(attribute, "_setup_used", False):
                continue
            for when, net in nets.items():
                if hasattr(attribute, when):
                    wanted[when] += _parts(getattr(attribute, when)(net))
                    attribute._setup_used = True
    for when, net in nets.items():
        if net.Proto().op:
            wanted[when].insert(0, net)
    return wanted["setup"], wanted["exit"]


def _enclosed(step: ExecutionStep, before: list[Any], after: list[Any], name: str) -> ExecutionStep:
    """The step between what runs before and after it."""
    if not before and not after:
        return step
    steps = [core.execution_step(f"{name}:init", before)] if before else []
    steps.append(step)
    if after:
        steps.append(core.execution_step(f"{name}:exit", after))
    return core.execution_step(name, steps)


class SetupNets:
    """An attribute of a net: nets to run before and after."""

    def __init__(self, init_nets: Any = None, exit_nets: Any = None):
        self.init_nets, self.exit_nets = init_nets, exit_nets

    def setup(self, init_net: Any) -> Any:
        return self.init_nets

    def exit(self, exit_net: Any) -> Any:
        return self.exit_nets


class TaskOutput:
    """A blob, a list of blobs or a record that a task gives. `fetch()` has its value after a run."""

    def __init__(self, names: Any):
        self._record = names if isinstance(names, Field) else None
        if self._record is not None:
            names = self._record.field_blobs()
        self._is_one = not isinstance(names, (list, tuple))
        self.names: list[Any] = [names] if self._is_one else list(names)
        self._values: Any = None
        self._fetch: Callable[[Any], Any] | None = None

    def set(self, values: Any, _fetch_func: Any = None) -> None:
        self._values, self._fetch = values, _fetch_func

    def _shaped(self, values: list[Any]) -> Any:
        if self._is_one:
            return values[0]
        return values if self._record is None else from_blob_list(self._record, values)

    def get(self) -> Any:
        assert self._values is not None, "the task has not run"
        return self._shaped(self._values)

    def fetch(self) -> Any:
        assert self._fetch is not None, "the task has not run"
        return self._shaped([self._fetch(value) for value in self._values])


class TaskOutputList:
    """Outputs of a task, their values given all at once."""

    def __init__(self, outputs: Any = None):
        self.outputs: list[TaskOutput] = outputs or []

    def names(self) -> list[Any]:
        return [name for output in self.outputs for name in output.names]

    def set_values(self, values: list[Any], _fetch_func: Any = None) -> None:
        at = 0
        for output in self.outputs:
            output.set(values[at : at + len(output.names)], _fetch_func)
            at += len(output.names)


def final_output(blob_or_record: Any) -> TaskOutput:
    """Make it an output of the current task, or of a new one."""
    return (Task.current(required=False) or Task()).add_output(blob_or_record)


class Task(context.Managed):
    """A step with outputs. Inside `with`, net_builder's ops make up the step.

    num_instances: how many run at once. workspace_type: see WorkspaceType.
    """

    TASK_SETUP = "task_setup"  # before and after all instances
    TASK_INSTANCE_SETUP = "task_instance_setup"  # before and after each
    REPORT_STEP = "report_step"  # again and again meanwhile

    def __init__(
        self,
        step: Any = None,
        outputs: Any = None,
        workspace_type: str | None = None,
        group: Any = None,
        node: Any = None,
        name: str | None = None,
        num_instances: int | None = None,
    ):
        if not name and isinstance(step, ExecutionStep):
            name = step.Name()
        self.node = str(Node.current(None if node is None else Node(node)))
        self.group: TaskGroup | None = TaskGroup.current(group, required=False)
        self.name = self._unique(f"{self.node}/{name or 'task'}")
        if self.group is not None:
            self.group._waiting.append(self)
        self._workspace_type, self._num_instances = workspace_type, num_instances
        self._used = False
        self._step: ExecutionStep | None = None
        self._whole: ExecutionStep | None = None
        self._outputs: list[TaskOutput] = []
        if step is not None:
            self.set_step(step)
        if outputs is not None:
            self.add_outputs(outputs)

    def _unique(self, base: str) -> str:
        taken = {task.name for task in self.group._waiting} if self.group is not None else set()
        name, number = base, 0
        while name in taken:
            number += 1
            name = f"{base}:{number}"
        return name

    def __enter__(self) -> Task:
        from serverquant.compat.caffe2.python.net_builder import NetBuilder

        super().__enter__()
        if self.group is not None:
            self.group._waiting.remove(self)  # its place is where it ends
        self._changing()
        assert self._step is None, f"task {self.name} has a step already"
        self._builder = NetBuilder(_fullname=self.name)
        self._builder.__enter__()
        return self

    def __exit__(self, kind: Any, *exc: Any) -> None:
        super().__exit__(kind, *exc)
        self._builder.__exit__(kind, *exc)
        if kind is None:
            self.set_step(self._builder)
        if self.group is not None:
            self.group._waiting.append(self)

    def _changing(self) -> None:
        assert not self._used, f"task {self.name} is in use and cannot change any more"

    def workspace_type(self) -> str | None:
        return self._workspace_type

    def add_output(self, output: Any) -> TaskOutput:
        self._changing()
        self._outputs.append(output if isinstance(output, TaskOutput) else TaskOutput(output))
        return self._outputs[-1]

    def add_outputs(self, outputs: Any) -> Any:
        if not isinstance(outputs, (list, tuple)):
            return self.add_output(outputs)
        return [self.add_output(output) for output in outputs]

    def outputs(self) -> list[TaskOutput]:
        return self._outputs

    def output_list(self) -> TaskOutputList:
        return TaskOutputList(self._outputs)

    def set_step(self, step: Any) -> None:
        self._changing()
        self._step = core.to_execution_step(step)

    def get_step(self) -> ExecutionStep:
        """The step with all that belongs to it: reports, setups of instances, instances, setups of the task."""
        if self._whole is None:
            self._whole = self._assembled(self._step) if self._step else core.execution_step(self.name, [])
        return self._whole

    def _assembled(self, step: ExecutionStep) -> ExecutionStep:
        reports = [s for s in step.get_all_attributes(self.REPORT_STEP) if not hasattr(s, "_report_step_used")]
        for report in reports:
            report._report_step_used = True
            if not report.Proto().run_every_ms:
                report.RunEveryMillis(1000)
        before, after = get_setup_nets(self.TASK_SETUP, [step, *reports], self)
        instance_before, instance_after = get_setup_nets(self.TASK_INSTANCE_SETUP, [step, *reports], self)
        if not self._outputs:
            nothing = Net(f"{self.name}:output")
            self.add_output(nothing.ConstantFill([], 1, dtype=core.DataType.INT32, value=0))
            after.append(nothing)
        body = core.execution_step(f"{self.name}:body", [*reports, step]) if reports else step
        instance = _enclosed(body, instance_before, instance_after, f"{self.name}:instance")
        if self._num_instances and self._num_instances > 1:
            instance.SetCreateWorkspace(True)
            instance = core.execution_step(
                f"{self.name}:parallel", [instance], num_concurrent_instances=self._num_instances
            )
        return _enclosed(instance, before, after, self.name)

    def _use(self) -> None:
        self.get_step()
        self._used = True


class TaskGroup(context.Managed):
    """Tasks that run side by side, those of one node in one workspace."""

    LOCAL_SETUP = "local_setup"

    def __init__(self, workspace_type: str | None = None):
        self._workspace_type = workspace_type
        self._tasks: list[Task] = []
        self._waiting: list[Task] = []  # made inside, not looked at yet
        self._used = False
        self._reports: list[tuple[str, ExecutionStep]] = []
        self._grouped: TaskGroup | None = None

    def add(self, task: Task) -> None:
        assert not self._used, "the group is in use and takes no more tasks"
        kinds = {self._workspace_type, task._workspace_type} - {None}
        assert len(kinds) <= 1, f"tasks of one group have one type of workspace, not {kinds}"
        if task._workspace_type is None:
            task._workspace_type = self._workspace_type or WorkspaceType.PRIVATE
        self._workspace_type = task._workspace_type
        task._use()
        self._tasks.append(task)

    def tasks(self) -> list[Task]:
        for task in self._waiting:
            self.add(task)
        self._waiting = []
        self._used = True
        return self._tasks

    def num_registered_tasks(self) -> int:
        return len(self._tasks) + len(self._waiting)

    def used_nodes(self) -> list[str]:
        return list(dict.fromkeys(task.node for task in [*self._tasks, *self._waiting]))

    def workspace_type(self) -> str | None:
        return self._workspace_type

    def report_step(self, step: Any = None, node: Any = None, interval_ms: int = 1000) -> None:
        """Run a step at an interval as long as the node's tasks run."""
        step = core.to_execution_step(step)
        step.RunEveryMillis(interval_ms)
        self._reports.append((str(node or Node.current(node)), step))

    def tasks_by_node(self, node_remap: Callable[[str], str] | None = None) -> TaskGroup:
        """A group with one task for each node, under its new name; made once."""
        if self._grouped is None:
            self._grouped = TaskGroup()
            by_node: dict[str, list[Task]] = {}
            for task in self.tasks():
                by_node.setdefault(node_remap(task.node) if node_remap else task.node, []).append(task)
            reports: dict[str, list[ExecutionStep]] = {}
            for node, step in self._reports:
                reports.setdefault(node_remap(node) if node_remap else node, []).append(step)
            for node, tasks in by_node.items():
                self._of_node(node, tasks, reports.get(node, []), self._grouped)
        return self._grouped

    def _of_node(self, node: str, tasks: list[Task], reports: list[ExecutionStep], group: TaskGroup) -> None:
        steps = [*reports]
        before, after = get_setup_nets(self.LOCAL_SETUP, [*(t.get_step() for t in tasks), *reports], self)
        for task in tasks:
            task.get_step().SetCreateWorkspace(task.workspace_type() == WorkspaceType.PRIVATE)
            steps.append(task.get_step())
        one = steps[0] if len(steps) == 1 else core.execution_step(f"{node}:body", steps, concurrent_substeps=True)
        is_global = any(task.workspace_type() == WorkspaceType.GLOBAL for task in tasks)
        Task(
            node=node,
            step=_enclosed(one, before, after, node),
            outputs=[output for task in tasks for output in task.outputs()],
            name="grouped_by_node",
            group=group,
            workspace_type=WorkspaceType.GLOBAL if is_global else WorkspaceType.PRIVATE,
        )

    def to_task(self, node: Any = None) -> Task:
        """All of the group as one task."""
        name = str(Node.current(node))
        tasks = self.tasks_by_node(lambda _: name).tasks()
        return tasks[0] if tasks else Task()
