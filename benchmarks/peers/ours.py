"""serverquant behind the face that `real_caffe2.Caffe2` has, so that a benchmark treats both alike."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from serverquant import workspace


class Ours:
    """A workspace of its own with so many threads, and one net in it at a time. Use as a context manager.

    A feed is an array, or (uint8 or int32 array, scale, zero_point) for an Int8 tensor; fetched values are alike.
    """

    name = "serverquant"
    _made = 0

    def __init__(self, threads: int):
        self.net = ""
        Ours._made += 1
        self.workspace = f"benchmark {Ours._made}"
        self.flags = ["benchmark", f"--caffe2_omp_num_threads={threads}"]

    def __enter__(self) -> Ours:
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        workspace.SwitchWorkspace("default")

    def _enter(self) -> None:
        """Several of these can live in one process: each call makes its own workspace and thread count current."""
        workspace.SwitchWorkspace(self.workspace, create_if_missing=True)
        workspace.GlobalInit(self.flags)

    def init(self, net: Path | bytes) -> int:
        """Runs an init net once. Nanoseconds from the path to the last blob."""
        self._enter()
        start = time.perf_counter_ns()
        workspace.RunNetOnce(net)
        return time.perf_counter_ns() - start

    def create(self, net: Path | bytes) -> None:
        """Creates the net that `run` runs, once its inputs have been fed."""
        self._enter()
        if self.net:
            workspace.DeleteNet(self.net)
        before = set(workspace.Nets())
        workspace.CreateNet(net)
        self.net = next(name for name in workspace.Nets() if name not in before)

    def feed(self, values: dict[str, Any]) -> None:
        self._enter()
        _feed_all(values)

    def run(self, times: int, feeds: list[dict[str, Any]] | None = None) -> list[int]:
        """Nanoseconds of each run; the feeds are used in turn, one before each run, outside the clock."""
        self._enter()
        taken = []
        for i in range(times):
            _feed_all(feeds[i % len(feeds)] if feeds else {})
            start = time.perf_counter_ns()
            workspace.RunNet(self.net)
            taken.append(time.perf_counter_ns() - start)
        return taken

    def fetch(self, names: list[str]) -> dict[str, Any]:
        self._enter()
        return {name: _plain(workspace.blobs[name]) for name in names}

    def reset(self) -> None:
        """Empties the workspace."""
        self._enter()
        workspace.ResetWorkspace()
        self.net = ""


def _feed_all(values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, tuple):
            workspace.FeedInt8Blob(name, *value)
        else:
            workspace.FeedBlob(name, value)


def _plain(value: Any) -> Any:
    return (value.data, value.scale, value.zero_point) if hasattr(value, "zero_point") else value
