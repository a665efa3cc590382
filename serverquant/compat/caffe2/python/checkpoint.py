"""Jobs: groups of tasks that run one after the other. There are no checkpoints."""

from __future__ import annotations

from typing import Any

from serverquant import core
from serverquant.compat.caffe2.python import context
from serverquant.compat.caffe2.python.task import Task, TaskGroup, TaskOutput, WorkspaceType


class Job(context.Managed):
    """init_group runs first, epoch_group until a stop condition is true, then download_group and exit_group. Tasks made
    inside `with` belong to the epoch."""

    def __init__(
        self,
        init_group: TaskGroup | None = None,
        epoch_group: TaskGroup | None = None,
        download_group: TaskGroup | None = None,
        exit_group: TaskGroup | None = None,
        stop_conditions: list[TaskOutput] | None = None,
        nodes_to_checkpoint: Any = None,
    ):
        self.init_group = init_group or TaskGroup(WorkspaceType.GLOBAL)
        self.epoch_group = epoch_group or TaskGroup()
        self.download_group = download_group or TaskGroup()
        self.exit_group = exit_group or TaskGroup()
        self.stop_conditions = stop_conditions or []

    def __enter__(self) -> Job:
        super().__enter__()
        self.epoch_group.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.epoch_group.__exit__(*exc)
        super().__exit__(*exc)

    def add_stop_condition(self, output: Any) -> None:
        """A blob or an output that ends the epochs."""
        if isinstance(output, core.BlobReference):
            output = Task(outputs=[output], group=self.epoch_group).outputs()[0]
        self.stop_conditions.append(output)
