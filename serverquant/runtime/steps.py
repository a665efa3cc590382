"""Running a PlanDef: its nets in steps that repeat, nest, and run side by side.

Meanings as in Caffe2: a step repeats `num_iter` times, or until its `should_stop_blob` is true, which is looked at
after every net or step in it; `only_once` leaves it after the first round. Steps side by side each take a thread; the
first error ends them all and is raised. A step with `create_workspace` has blobs of its own and shares those that exist
around it; `num_concurrent_instances` runs it so many times at once. A step with `run_every_ms` runs as long as the
steps beside it do, and once more after them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from serverquant._base.errors import NetError
from serverquant.runtime.workspace import Workspace


def run_plan(workspace: Workspace, plan: Any) -> bool:
    """Run the plan's steps. Its nets are created when a step first needs them, in that step's workspace."""
    running = _Running({net.name: net for net in plan.network})
    for step in plan.execution_step:
        _run_step(step, workspace, running)
    return True


class _Running:
    """What all steps of a running plan share: its nets, which of them are made, and whether to stop."""

    def __init__(self, protos: dict[str, Any]):
        self.protos = protos
        self.stop = threading.Event()
        self._made: dict[tuple[int, str], Any] = {}
        self._lock = threading.Lock()

    def net(self, workspace: Workspace, name: str, step: str) -> Any:
        """The net in that workspace, made at its first use in this run of the plan."""
        if name not in self.protos:
            raise NetError(f'step "{step}" names net "{name}", which the plan does not have')
        with self._lock:
            made = self._made.get((id(workspace), name))
            if made is None:
                made = self._made[id(workspace), name] = workspace.create_net(self.protos[name], overwrite=True)
        return made

    def forget(self, workspace: Workspace) -> None:
        """A workspace that was made for a step is at its end."""
        with self._lock:
            for key in [key for key in self._made if key[0] == id(workspace)]:
                del self._made[key]


def _run_step(step: Any, workspace: Workspace, running: _Running) -> None:
    """All instances of a step."""
    count = max(step.num_concurrent_instances, 1)
    instances = [_Instance(step, workspace, running) for _ in range(count)]
    if count == 1:
        instances[0].run()
    else:
        _side_by_side([instance.run for instance in instances], running.stop)
    if step.create_workspace:
        for instance in instances:
            running.forget(instance.workspace)


class _Instance:
    """One run of a step, in the workspace that it asks for."""

    def __init__(self, step: Any, around: Workspace, running: _Running):
        self.step, self.running, self.stop = step, running, running.stop
        self.workspace = Workspace(around, writes_through=True) if step.create_workspace else around
        if step.HasField("should_stop_blob") and step.HasField("num_iter"):
            raise NetError(f'step "{step.name}" has both num_iter and should_stop_blob')
        if step.network and step.substep:
            raise NetError(f'step "{step.name}" has both nets and steps')
        self.parts: list[Callable[[], Any]] = [self._net(name).run for name in step.network]
        self.parts += [self._substep(inner) for inner in step.substep if not inner.run_every_ms]
        self.reporters = [(self._substep(inner), inner.run_every_ms) for inner in step.substep if inner.run_every_ms]
        if step.report_net:
            self.reporters.append((self._net(step.report_net).run, 1000 * max(step.report_interval, 1)))

    def _net(self, name: str) -> Any:
        return self.running.net(self.workspace, name, self.step.name)

    def _substep(self, step: Any) -> Callable[[], Any]:
        return lambda: _run_step(step, self.workspace, self.running)

    def _stopped(self) -> bool:
        """Whether the blob that ends the step is true; one that nothing has been written to yet is not."""
        if not self.step.should_stop_blob:
            return False
        blob = self.workspace.find(self.step.should_stop_blob)
        return blob is not None and not blob.is_empty and bool(blob.view().reshape(-1)[0])

    def run(self) -> None:
        over = threading.Event()
        reporting = [threading.Thread(target=_report, args=(*r, over)) for r in self.reporters]
        for thread in reporting:
            thread.start()
        try:
            self._repeat()
        finally:
            over.set()
            for thread in reporting:
                thread.join()

    def _repeat(self) -> None:
        endless = bool(self.step.should_stop_blob) and not self.step.only_once
        rounds = self.step.num_iter if self.step.HasField("num_iter") else 1
        done = 0
        while (endless or done < rounds) and not self.stop.is_set():
            done += 1
            if self.step.concurrent_substeps and len(self.parts) > 1:
                _side_by_side(self.parts, self.stop)
                if self._stopped():
                    return
                continue
            for part in self.parts:
                part()
                if self._stopped() or self.stop.is_set():
                    return


def _report(run: Callable[[], Any], interval_ms: int, over: threading.Event) -> None:
    while not over.wait(interval_ms / 1000):
        run()
    run()


def _side_by_side(parts: list[Callable[[], Any]], stop: threading.Event) -> None:
    """Run all parts in threads of their own; the first error stops the others at their next net and is raised."""
    errors: list[BaseException] = []

    def guarded(part: Callable[[], Any]) -> None:
        try:
            part()
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=guarded, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
