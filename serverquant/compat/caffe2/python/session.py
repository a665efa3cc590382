"""Running tasks and fetching their outputs."""

from __future__ import annotations

from typing import Any

from serverquant import core, workspace
from serverquant.compat.caffe2.python.task import Cluster, Task, TaskGroup, WorkspaceType
from serverquant.core.plan import ExecutionStep, Plan
from serverquant.runtime.workspace import Workspace


class LocalSession:
    """Runs task groups, tasks, plans, steps and nets in this process; all nodes are one.

    ws: the workspace that outputs are fetched from; the current one if None.
    """

    def __init__(self, ws: Workspace | None = None):
        self._space = ws or workspace.current()
        self._open = True
        self._compiled: dict[int, Any] = {}

    def is_open(self) -> bool:
        return self._open

    def run(self, runnable: Any, workspace_type: str | None = None, setup_net_list: Any = None) -> None:
        assert self._open, "the session is closed"
        if id(runnable) not in self._compiled:
            self._compiled[id(runnable)] = (runnable, *_compile(runnable, workspace_type))
        _, plan, outputs, kind = self._compiled[id(runnable)]
        for name in outputs.names():
            self._space.create_blob(str(name))  # where the outputs are looked for
        outputs.set_values([str(name) for name in outputs.names()], self._space.fetch)
        private = kind == WorkspaceType.PRIVATE
        workspace.run_in(Workspace(self._space, writes_through=True) if private else self._space, plan)

    def close(self) -> None:
        self._open = False

    def __enter__(self) -> LocalSession:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


def _compile(runnable: Any, workspace_type: str | None) -> tuple[Plan, Any, Any]:
    """The plan of a runnable, its outputs, and where it runs."""
    group = runnable if isinstance(runnable, TaskGroup) else TaskGroup(workspace_type or WorkspaceType.GLOBAL)
    if isinstance(runnable, Task):
        group.add(runnable)
    elif isinstance(runnable, Plan):
        group.add(Task(step=runnable.Steps()[0] if len(runnable.Steps()) == 1 else runnable.Steps()))
    elif group is not runnable:
        step = runnable if isinstance(runnable, ExecutionStep) else core.execution_step("runnable", runnable)
        group.add(Task(step=step))
    with Cluster():
        task = group.to_task()
    plan = Plan("task_group_plan")
    plan.AddStep(task.get_step())
    return plan, task.output_list(), task.workspace_type()


Session = LocalSession
