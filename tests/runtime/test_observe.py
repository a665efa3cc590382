"""Watching nets: times, threads, memory, traces; nothing left when it is over."""

from __future__ import annotations

import json
import threading
import time

import cases
import numpy as np
import pytest

import serverquant
from serverquant import core, workspace
from serverquant._base.errors import ArgumentError, DTypeError, NetError
from serverquant.proto import NetDef
from serverquant.proto.wire import read_net
from serverquant.runtime import _dag, observe
from serverquant.runtime.workspace import Workspace

CASE = cases.case("digits24_int8_fixed")


@serverquant.register("ObserveTestSleep", replace=True)
def sleep(x):
    time.sleep(0.01)
    return x


def branches(kind: str):
    """Two branches that sleep, then their sum."""
    net = NetDef(name="branches", type=kind, num_workers=2, external_input=["x"], external_output=["y"])
    for i in range(2):
        net.op.append(core.CreateOperator("ObserveTestSleep", ["x"], [f"s{i}"], name=f"branch {i}"))
    net.op.append(core.CreateOperator("Add", ["s0", "s1"], ["y"]))
    space = Workspace()
    space.create("x").feed(np.float32([1, 2]))
    return space, space.bind(read_net(net))


@pytest.fixture
def predict():
    with serverquant.load(CASE.init_path(), CASE.predict_path) as loaded:
        yield loaded


@pytest.mark.parametrize("kind", ["simple", "planned", "dag"])
def test_times(kind):
    space, net = branches(kind)
    net.run()
    with serverquant.observe(net) as profile:
        for _ in range(3):
            net.run()
    net.run()
    assert len(profile.runs) == 3
    for run in profile.runs:
        assert [t.type for t in run.operators] == ["ObserveTestSleep", "ObserveTestSleep", "Add"]
        assert all(run.begin <= t.begin <= t.end <= run.end for t in run.operators)
        assert all(t.nanoseconds > 9e6 for t in run.operators[:2])
        assert run.operators[2].begin >= max(t.end for t in run.operators[:2])
        assert run.operators[0].name == "branch 0"
    assert space.fetch("y").tolist() == [2, 4]
    labels = ["0 ObserveTestSleep branch 0", "1 ObserveTestSleep branch 1", "2 Add y"]
    assert [row.label for row in profile.rows()] == labels
    slowest = profile.rows("type")[0]
    assert slowest.label == "2 ObserveTestSleep"
    assert slowest.least > 18e6
    with pytest.raises(ValueError, match="by must be"):
        profile.rows("size")


def test_threads_of_dag_nets():
    _, net = branches("dag")
    _dag.force_threads(True)
    try:
        with serverquant.observe(net) as profile:
            net.run()
    finally:
        _dag.force_threads(False)
    one, other, _ = profile.runs[0].operators
    assert {one.thread, other.thread} == {0, 1}
    assert max(one.begin, other.begin) < min(one.end, other.end)
    threads = [e["args"]["name"] for e in profile.trace()["traceEvents"] if e["ph"] == "M"]
    assert threads == ["caller", "worker 1"]


def test_a_net_that_nobody_watches_runs_the_same_method_as_ever(predict):
    net = predict.net
    before = type(net).run
    with serverquant.observe(predict), serverquant.observe(net):
        assert net.run.__func__ is not before
    assert net.run.__func__ is before


def test_all_threads_of_a_predictor_are_watched(predict):
    images = CASE.inputs()["data"][:2]
    with serverquant.observe(predict) as profile:
        predict(images)
        thread = threading.Thread(target=predict, args=(images,))
        thread.start()
        thread.join()
    predict(images)
    assert len(profile.runs) == 2


def test_attach_and_detach(predict):
    first, second = serverquant.Profile(), serverquant.Profile()
    predict.attach(first)
    predict.attach(second)
    predict(CASE.inputs()["data"][:1])
    predict.detach(first)
    predict(CASE.inputs()["data"][:1])
    predict.detach(second)
    predict(CASE.inputs()["data"][:1])
    assert (len(first.runs), len(second.runs)) == (1, 2)
    with pytest.raises(ValueError, match="not in list"):
        predict.detach(first)
    assert repr(second) == "<Profile: 2 runs of digits24_predict_int8>"


def test_an_observer_of_ones_own(predict):
    class Count:
        runs = 0

        def ran(self, net, begin, end, parts):
            self.runs += 1
            assert end > begin
            assert sum(len(stamps) for _, stamps in parts) == len(net.operators)

    with serverquant.observe(predict, Count()) as count:
        predict(CASE.inputs()["data"][:1])
    assert count.runs == 1


def test_a_run_that_fails_is_not_kept_and_watching_goes_on():
    net = NetDef(name="fails", external_input=["x", "i"])
    net.op.append(core.CreateOperator("Gather", ["x", "i"], ["y"]))
    space = Workspace()
    space.create("x").feed(np.float32([1, 2]))
    space.create("i").feed(np.array([5]))
    made = space.bind(read_net(net))
    with serverquant.observe(made) as profile:
        with pytest.raises(serverquant.ServerquantError, match="index 5"):
            made.run()
        space.create("i").feed(np.array([1]))
        made.run()
    assert len(profile.runs) == 1


def test_memory():
    net = NetDef(name="chain", type="planned", external_input=["x"], external_output=["y"])
    net.op.append(core.CreateOperator("Transpose", ["x"], ["a"]))
    net.op.append(core.CreateOperator("Transpose", ["a"], ["b"]))
    net.op.append(core.CreateOperator("Transpose", ["b"], ["c"]))
    net.op.append(core.CreateOperator("Softmax", ["c"], ["y"]))
    space = Workspace()
    space.create("x").feed(np.zeros((30, 50), np.float32))
    made = space.bind(read_net(net))
    with serverquant.observe(made) as profile:
        made.run()
        space.create("x").feed(np.zeros((60, 50), np.float32))
        made.run()
    sizes = {size.blob: size for size in profile.memory()}
    assert [sizes[name].nbytes for name in "abcy"] == [60 * 50 * 4] * 4
    assert sizes["a"].place == sizes["c"].place != sizes["b"].place
    assert "float 50x60" in profile.memory_table()


def test_table_and_trace(predict, tmp_path):
    with serverquant.observe(predict) as profile:
        assert str(profile) == "nothing has run yet"
        for _ in range(2):
            predict(CASE.inputs()["data"][:3])
    lines = str(profile).splitlines()
    assert len(lines) == 1 + len(predict.net.operators)
    assert lines[0].split() == ["operator", "kernel", "runs", "median", "us", "least", "us", "share"]
    assert "Int8ConvRelu" in profile.table("type")
    profile.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert len(spans) == 2 * (1 + len(predict.net.operators))
    nets = [e for e in spans if e["cat"] == "net"]
    for span in spans:
        assert any(n["ts"] <= span["ts"] and span["ts"] + span["dur"] <= n["ts"] + n["dur"] + 1e-3 for n in nets)
    convolution = next(e for e in spans if e["name"] == "Int8ConvRelu")
    assert convolution["args"]["kernel"]
    assert convolution["args"]["outputs"]


def test_watching_gives_back_another_way_to_run():
    net = NetDef(name="n", external_input=["x"])
    net.op.append(core.CreateOperator("Relu", ["x"], ["y"]))
    space = Workspace()
    space.create("x").feed(np.float32([1]))
    serverquant.options.fp_exceptions = True
    try:
        made = space.bind(read_net(net))
    finally:
        serverquant.options.fp_exceptions = False
    checked = made.run
    with serverquant.observe(made) as profile:
        made.run()
    assert len(profile.runs) == 1
    assert made.run is checked


class Told:
    """An observer that notes what it is told."""

    def __init__(self):
        self.notes: list[str] = []

    def ran(self, net, begin, end, parts):
        self.notes.append(f"{net.name} ran")

    def closed(self, net):
        self.notes.append(f"{net.name} closed")


@pytest.fixture
def told_of_all():
    """What adds to those who are told of every net that is created, for the length of a test."""
    yield observe.on_creation.append
    observe.on_creation.clear()


def relu(name: str, kind: str = "") -> NetDef:
    return NetDef(name=name, type=kind, op=[core.CreateOperator("Relu", ["x"], ["y"])])


def test_all_nets_of_a_process(told_of_all):
    """Those that a workspace keeps or runs once, until it forgets them."""
    space, told = Workspace(), Told()
    space.create("x").feed(np.float32([-1, 2]))
    space.create_net(relu("before"))
    told_of_all(lambda net: net.attach(told))
    space.create_net(relu("kept"))
    for name in ("before", "kept"):
        space.net(name).run()
    space.run_once(relu("once"))
    workspace.run_in(space, core.CreateOperator("Relu", ["x"], ["y"]))
    space.bind(read_net(relu("bound"))).run()
    assert told.notes == ["kept ran", "once ran", "once closed"]
    space.create_net(relu("kept"), overwrite=True)
    assert [space.delete_net("kept") for _ in range(2)] == [True, False]
    space.create_net(relu("last"))
    space.reset()
    assert told.notes[3:] == ["kept closed", "kept closed", "last closed"]


def test_a_net_is_closed_when_its_run_fails(told_of_all):
    space, told = Workspace(), Told()
    told_of_all(lambda net: net.attach(told))
    space.create("x").feed(np.array([1], np.int32))
    with pytest.raises(DTypeError):
        space.run_once(relu("once"))
    assert told.notes == ["once closed"]


@pytest.mark.parametrize("kind", ["simple", "dag"])
def test_operators_made_anew(kind):
    space, told = Workspace(), Told()
    space.create("x").feed(np.float32([-1, 2]))
    net = NetDef(name="net", type=kind)
    net.op.append(core.CreateOperator("LeakyRelu", ["x"], ["y"], alpha=0.5))
    net.op.append(core.CreateOperator("Relu", ["y"], ["z"]))
    made = space.create_net(net)
    made.attach(told)
    made.run()
    made.redefine({0: core.CreateOperator("LeakyRelu", ["x"], ["y"], alpha=0.25)})
    made.run()
    assert space.fetch("y").tolist() == [-0.25, 2]
    assert made.proto.op[0].arg[0].f == 0.25
    assert told.notes == ["net ran"] * 2
    with pytest.raises(ArgumentError, match=r'LeakyRelu \(op 0 of net "net"\)'):
        made.redefine({0: core.CreateOperator("LeakyRelu", ["x"], ["y"], alpha="much")})
    made.run()
    assert space.fetch("y").tolist() == [-0.25, 2]


def test_operators_of_a_planned_net_stay():
    space = Workspace()
    space.create("x").feed(np.float32([-1, 2]))
    net = space.create_net(relu("net", "planned"))
    with pytest.raises(NetError, match='net "net" is planned'):
        net.redefine({0: core.CreateOperator("Relu", ["x"], ["y"])})
