"""Plans: steps that repeat, nest and run side by side."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import NetError, OperatorError


@pytest.fixture(autouse=True)
def _fresh_workspace():
    workspace.ResetWorkspace()


def counting(name: str = "count", limit: int | None = None) -> core.Net:
    """A net that adds one to `name`, and sets `stop` once it is `limit`."""
    net = core.Net("counting")

    def add(inputs, outputs):
        outputs[0].data[...] += 1
        if limit is not None:
            outputs[1].init([], core.DataType.BOOL)[...] = inputs[0].data >= limit

    net.Python(add)([name], [name, "stop"] if limit is not None else [name])
    workspace.FeedBlob(name, np.zeros((), np.float32))
    return net


def run(*steps: core.ExecutionStep) -> float:
    plan = core.Plan("plan")
    for step in steps:
        plan.AddStep(step)
    assert workspace.RunPlan(plan.Proto().SerializeToString())
    return float(workspace.FetchBlob("count"))


def test_a_step_repeats():
    assert run(core.ExecutionStep("s", counting(), 7)) == 7


def test_a_step_ends_when_its_blob_is_true():
    net = counting(limit=5)
    assert run(core.execution_step("s", net, should_stop_blob=core.BlobReference("stop"))) == 5


def test_only_once():
    net = counting(limit=5)
    assert run(core.execution_step("s", net, should_stop_blob=core.BlobReference("stop"), only_once=True)) == 1


def test_steps_nest():
    inner = core.execution_step("inner", counting(), num_iter=3)
    assert run(core.execution_step("outer", inner, num_iter=4)) == 12


def test_instances_run_at_once_and_share_the_blobs_around():
    met = threading.Barrier(3, timeout=20)
    net = core.Net("meet")
    net.Python(lambda inputs, outputs: met.wait())([], [])
    workspace.FeedBlob("count", np.float32(0))
    run(core.execution_step("s", net, num_concurrent_instances=3, create_workspace=True))


def test_a_step_with_its_own_workspace_writes_through_and_keeps_its_own():
    net = counting()
    net.Copy("count", "inner")
    assert run(core.execution_step("s", net, create_workspace=True)) == 1
    assert not workspace.HasBlob("inner")


def test_an_error_ends_the_plan():
    def fail(inputs, outputs):
        raise KeyError("nothing there")

    net = core.Net("failing")
    net.Python(fail)([], [])
    step = core.execution_step(
        "s", [core.execution_step("a", net), core.execution_step("b", counting())], concurrent_substeps=True
    )
    with pytest.raises(OperatorError, match="nothing there") as caught:
        workspace.RunPlan(step)
    assert isinstance(caught.value, KeyError)


def test_a_step_of_its_own_is_a_plan_and_cannot_change_afterwards():
    step = core.ExecutionStep("s", counting())
    workspace.RunPlan(step)
    with pytest.raises(NetError, match="cannot change"):
        step.SetIter(3)


def test_in_the_background():
    plan = core.Plan(core.ExecutionStep("s", counting(), 3))
    running = workspace.RunPlanInBackground(plan)
    while not running.is_done():
        pass
    assert running.is_succeeded()
    assert workspace.FetchBlob("count") == 3


def test_a_plan_comes_back_from_its_message():
    plan = core.Plan(core.execution_step("outer", [core.ExecutionStep("a", counting(), 2)], num_iter=2))
    copy = core.Plan.create_from_proto(plan.Proto())
    assert workspace.RunPlan(copy)
    assert workspace.FetchBlob("count") == 4
