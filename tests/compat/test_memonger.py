"""Nets whose blobs share places compute what they computed before."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant.compat.caffe2.python import memonger


def diamond(net_type="simple"):
    """Two chains from x, and their sum."""
    net = core.Net("diamond")
    net.Proto().type = net_type
    left = right = "x"
    for i in range(4):
        left = net.Tanh(left, f"left{i}")
        right = net.Sigmoid(right, f"right{i}")
    net.Add([left, right], "y")
    net.AddExternalOutput("y")
    return net


@pytest.fixture(autouse=True)
def blobs():
    workspace.ResetWorkspace()
    workspace.FeedBlob("x", np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4))
    yield
    workspace.ResetWorkspace()


def names(net):
    return {name for op in net.op for name in op.output}


def result(net):
    workspace.RunNetOnce(net)
    return workspace.FetchBlob("y")


REWRITES = {
    "fast": lambda net: memonger.optimize_inference_fast(net.Proto(), ["x"]),
    "dag": lambda net: memonger.optimize_inference_for_dag(net, ["x"], ""),
    "greedy": lambda net: memonger.optimize_interference(net.Proto(), ["x"]).net,
    "search": lambda net: (
        memonger.optimize_interference(
            net.Proto(),
            ["x"],
            memonger.topological_sort_traversal_longest_path,
            algo=memonger.AssignmentAlgorithm.DYNAMIC_PROGRAMMING,
        ).net
    ),
    "free": lambda net: memonger.release_blobs_when_used(net.Proto(), []),
}


@pytest.mark.parametrize("way", list(REWRITES))
def test_rewritten_nets_give_the_same(way):
    net = diamond("dag" if way == "dag" else "simple")
    want = result(net.Proto())
    made = REWRITES[way](net)
    assert np.array_equal(result(made), want)
    assert (len(names(made)) < len(names(net.Proto()))) == (way != "free")
    assert made.op[-1].type == ("Free" if way == "free" else "Add")


def test_chains_that_run_side_by_side_share_nothing():
    made = memonger.optimize_inference_for_dag(diamond("dag"), ["x"], "")
    left = {op.output[0] for op in made.op if op.type == "Tanh"}
    right = {op.output[0] for op in made.op if op.type == "Sigmoid"}
    assert not left & right
    assert len(left) == len(right) == 2  # an operator does not write what it reads


def test_blobs_of_another_scope_are_left_alone():
    net = diamond()
    assert names(memonger.optimize_inference_for_dag(net, ["x"], "other")) == names(net.Proto())


def test_the_search_is_not_worse():
    ranges = [(f"b{i}", memonger.LiveRange(i, i + 1 + i % 3, 1 + i * 7 % 5)) for i in range(12)]
    greedy = memonger.get_memory_usage(memonger.compute_assignments_greedy(ranges))
    found = memonger.compute_assignments_dp(ranges)
    assert memonger.get_memory_usage(found) <= greedy
    for assignment in found:
        for (_, first), (_, second) in itertools.pairwise(assignment):
            assert first.used < second.defined
    assert memonger.compute_statistics(found).baseline_nbytes == sum(r.size for _, r in ranges)
