"""Immediate mode: every operator that a net gets runs at once, in a workspace apart."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

from serverquant import core, workspace

_NAME = "_caffe2_immediate"
root_folder = ""


def IsImmediate() -> bool:
    return bool(root_folder)


def _in_immediate(action: Any, *args: Any) -> Any:
    if not IsImmediate():
        raise RuntimeError("immediate mode is off; StartImmediate turns it on")
    before = workspace.CurrentWorkspace()
    workspace.SwitchWorkspace(_NAME, True)
    try:
        return action(*args)
    finally:
        workspace.SwitchWorkspace(before)


def StartImmediate(i_know: bool = False) -> None:
    """Turn it on, with a fresh workspace and a temporary root folder."""
    global root_folder
    if IsImmediate():
        return
    root_folder = tempfile.mkdtemp(prefix="serverquant-immediate-")
    _in_immediate(workspace.ResetWorkspace, root_folder)
    core.Net.added.append(_run)


def StopImmediate() -> None:
    """Turn it off and forget its blobs and its folder."""
    global root_folder
    if not IsImmediate():
        return
    _in_immediate(workspace.ResetWorkspace, ".")
    core.Net.added.remove(_run)
    shutil.rmtree(root_folder, ignore_errors=True)
    root_folder = ""


def _run(operator: Any) -> None:
    _in_immediate(workspace.RunOperatorOnce, operator)


def ImmediateBlobs() -> list[str]:
    return _in_immediate(workspace.Blobs)


def FetchImmediate(name: Any) -> Any:
    return _in_immediate(workspace.FetchBlob, name)


def FeedImmediate(name: Any, value: Any) -> bool:
    return _in_immediate(workspace.FeedBlob, name, value)
