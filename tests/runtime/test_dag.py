"""Nets on several threads: the bytes of `simple` under every hazard, errors, control inputs, real concurrency."""

from __future__ import annotations

import os
import random
import threading

import numpy as np
import pytest

import serverquant
from serverquant import core
from serverquant._base import _threads
from serverquant._base.errors import MissingBlobError, NetError, OperatorError, ServerquantError
from serverquant.proto import NetDef
from serverquant.proto.wire import read_net
from serverquant.runtime import _dag
from serverquant.runtime.nets import TYPES
from serverquant.runtime.workspace import Workspace

DAG_TYPES = ["dag", "async_dag", "prof_dag", "async_scheduling", "async_polling", "parallel"]
SHAPE = (4, 8)
NAMES = [f"b{i}" for i in range(9)]


@serverquant.register("DagTestHalf", replace=True)
def half(x):
    return x / np.float32(2)


@pytest.fixture(autouse=True)
def _three_threads():
    before = _threads.set_num_threads(3)
    yield
    _threads.set_num_threads(before)


@pytest.fixture(params=[False, True], ids=["measured", "forced"])
def _forced(request):
    """As measured, which small nets are after their first runs, and on all threads whatever the measure says."""
    _dag.force_threads(request.param)
    yield
    _dag.force_threads(False)


def add(net, type_, inputs, outputs, control=(), **args):
    net.op.append(core.CreateOperator(type_, inputs, outputs, control_input=list(control), **args))


def random_net(seed: int, steps: int = 40):
    """Operators that read and overwrite a few blobs over and over: every kind of hazard, in place too."""
    rng = random.Random(seed)
    net = NetDef(name=f"random{seed}", external_input=NAMES)
    for step in range(steps):
        a, b, out = (rng.choice(NAMES) for _ in range(3))
        control = [rng.choice(NAMES)] if rng.random() < 0.2 else []
        kind = rng.randrange(9)
        if kind == 0:
            add(net, "Add", [a, b], [out], control)
        elif kind == 1:
            add(net, "Mul", [a, b], [out], control)
        elif kind == 2:
            add(net, "Relu", [a], [a], control)
        elif kind == 3:
            add(net, "Clip", [a], [out], control, min=-2.0, max=2.0)
        elif kind == 4:
            add(net, "Sum", [a, b, "x"], [out if out != b else f"sum{step}"], control)
        elif kind == 5:
            add(net, "DagTestHalf", [a], [out], control)
        elif kind == 6:
            add(net, "Concat", [a, b], [f"wide{step}", f"split{step}"], control, axis=1)
        elif kind == 7:
            add(net, "Softmax", [a], [f"soft{step}"], control)
            add(net, "Copy", [f"soft{step}"], [out])
        elif a != out:
            add(net, "Copy", [a], [out], control)
    net.external_input.append("x")
    return net


def bound(net, kind: str, workers: int, feeds) -> tuple:
    typed = NetDef()
    typed.CopyFrom(net)
    typed.type, typed.num_workers = kind, workers
    space = Workspace()
    for name, value in feeds.items():
        space.create(name).feed(value)
    return space, space.bind(read_net(typed))


def feeds_of(seed: int, rows: int = SHAPE[0]):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(rows, SHAPE[1])).astype(np.float32) for name in [*NAMES, "x"]}


def everything(space):
    return {name: (space.fetch(name).shape, space.fetch(name).tobytes()) for name in space.names()}


@pytest.mark.parametrize("kind", DAG_TYPES)
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.usefixtures("_forced")
def test_the_bytes_of_simple(kind, workers):
    for seed in range(6):
        net, feeds = random_net(seed), feeds_of(seed)
        one, simple = bound(net, "simple", 0, feeds)
        many, dag = bound(net, kind, workers, feeds)
        for turn in range(12):
            rows = SHAPE[0] if turn < 9 else turn
            for name, value in feeds_of(turn, rows).items():
                one.create(name).feed(value)
                many.create(name).feed(value)
            simple.run()
            dag.run()
            assert everything(many) == everything(one), (seed, turn)


def test_int8_and_values_that_shapes_depend_on():
    net = NetDef(name="mixed", external_input=["x", "how"])
    for i in range(4):
        add(net, "Quantize", ["x"], [f"q{i}"], engine="DNNLOWP", Y_scale=0.1, Y_zero_point=i)
        add(net, "Relu", [f"q{i}"], [f"r{i}"], engine="DNNLOWP")
        add(net, "Dequantize", [f"r{i}"], [f"f{i}"], engine="DNNLOWP")
        add(net, "Add", ["how", "how"], [f"twice{i}"])
        add(net, "Reshape", [f"f{i}", f"twice{i}"], [f"s{i}", f"old{i}"])
        add(net, "Relu", [f"s{i}"], [f"y{i}"])
    feeds = {"x": np.linspace(-2, 2, 32, dtype=np.float32)[:16].reshape(2, 8), "how": np.array([2, 2])}
    one, simple = bound(net, "simple", 0, feeds)
    many, dag = bound(net, "dag", 4, feeds)
    simple.run()
    for _ in range(10):
        dag.run()
        for i in range(4):
            assert many.fetch(f"q{i}").data.tobytes() == one.fetch(f"q{i}").data.tobytes()
            np.testing.assert_array_equal(many.fetch(f"y{i}"), one.fetch(f"y{i}"))
    assert len(dag.last_plans) == 2, "the four branches are planned together, up to their Reshape and from there on"


def test_branches_run_at_the_same_time():
    """Each of three operators waits until the others have begun: one thread would wait for ever."""
    barrier = threading.Barrier(3, timeout=20)

    @serverquant.register("DagTestMeet", replace=True)
    def meet(x):
        barrier.wait()
        return x

    net = NetDef(name="meet", external_input=["x"])
    for i in range(3):
        add(net, "DagTestMeet", ["x"], [f"a{i}"])
        add(net, "DagTestMeet", [f"a{i}"], [f"b{i}"])
    _, dag = bound(net, "dag", 3, {"x": np.zeros(2, np.float32)})
    for _ in range(12):
        dag.run()
    assert _dag.pool_threads() >= 2


def test_a_chain_wakes_nobody():
    net = NetDef(name="chain", external_input=["x"])
    for i in range(20):
        add(net, "Relu", ["x" if i == 0 else f"y{i - 1}"], [f"y{i}"])
    _, dag = bound(net, "dag", 64, {"x": np.zeros(8, np.float32)})
    before = _dag.pool_threads()
    for _ in range(10):
        dag.run()
    assert _dag.pool_threads() == before


def test_an_error_in_a_branch_names_operator_and_net_and_leaves_the_net_usable():
    @serverquant.register("DagTestPicky", replace=True)
    def picky(x):
        if x[0] > 0:
            raise ValueError("too much")
        return x

    net = NetDef(name="branches", external_input=["x", "i"])
    for i in range(4):
        add(net, "DagTestPicky" if i == 2 else "Relu", ["x"], [f"y{i}"])
    add(net, "Gather", ["y0", "i"], ["z"])
    space, dag = bound(net, "async_scheduling", 4, {"x": np.float32([-1, 1]), "i": np.array([1])})
    for _ in range(15):
        space.create("x").feed(np.float32([1, 1]))
        with pytest.raises(OperatorError, match=r'DagTestPicky \(op 2 of net "branches"\): ValueError: too much'):
            dag.run()
        space.create("x").feed(np.float32([-1, 1]))
        space.create("i").feed(np.array([7]))
        with pytest.raises(ServerquantError, match=r'Gather \(op 4 of net "branches"\): index 7'):
            dag.run()
        space.create("i").feed(np.array([1]))
        dag.run()
        assert space.fetch("z").tolist() == [1]


def test_control_inputs_order_what_blobs_do_not():
    log = []

    @serverquant.register("DagTestLog", replace=True)
    def write(x, what=0):
        log.append(what)
        return x

    net = NetDef(name="control", external_input=["x"])
    for i in range(6):
        add(net, "DagTestLog", ["x"], [f"y{i}"], [f"y{i - 1}"] if i else ["nobody makes this"], what=i)
    _, dag = bound(net, "dag", 4, {"x": np.zeros(1, np.float32)})
    for _ in range(20):
        log.clear()
        dag.run()
        assert log == list(range(6))


def test_a_control_input_may_be_made_further_down():
    log = []

    @serverquant.register("DagTestLog", replace=True)
    def write(x, what=0):
        log.append(what)
        return x

    net = NetDef(name="control", external_input=["x"])
    add(net, "DagTestLog", ["x"], ["late"], ["early"], what=2)
    add(net, "DagTestLog", ["x"], ["early"], what=1)
    _, dag = bound(net, "dag", 4, {"x": np.zeros(1, np.float32)})
    dag.run()
    assert log == [1, 2]
    assert [op.definition.index for plan in dag.last_plans for op in plan.operators] == [1, 0]


@pytest.mark.parametrize("own", [True, False])
def test_a_circle_of_control_inputs_is_refused(own):
    net = NetDef(name="circle", external_input=["x"])
    add(net, "Relu", ["x"], ["y"], ["y" if own else "z"])
    add(net, "Relu", ["y"], ["z"])
    with pytest.raises(NetError, match=r"op 0 of net \"circle\".*circle: Relu \(op 0\) waits for Relu \(op"):
        bound(net, "dag", 2, {"x": np.zeros(1, np.float32)})
    bound(net, "simple", 2, {"x": np.zeros(1, np.float32)})[1].run()


def test_random_numbers_come_in_the_order_of_the_net():
    net = NetDef(name="random")
    for i in range(8):
        add(net, "GaussianFill", [], [f"y{i}"], shape=[100 * (i % 3 + 1)])
    one, simple = bound(net, "simple", 0, {})
    many, dag = bound(net, "dag", 4, {})
    for _ in range(5):
        for runner in (simple, dag):
            np.random.seed(7)
            runner.run()
        assert everything(one) == everything(many)


def test_types_and_workers():
    net = NetDef(name="n", external_input=["x"])
    add(net, "Relu", ["x"], ["y"])
    for kind in TYPES:
        space, made = bound(net, kind, 2, {"x": np.float32([-1, 2])})
        made.run()
        assert space.fetch("y").tolist() == [0, 2]
    with pytest.raises(NetError, match="needs num_workers > 0"):
        bound(net, "parallel", 0, {"x": np.zeros(1, np.float32)})
    with pytest.raises(NetError, match=r'is of type "dags" \(did you mean dag'):
        bound(net, "dags", 2, {"x": np.zeros(1, np.float32)})


def test_missing_values_are_found_before_anything_runs():
    net = NetDef(name="n", external_input=["x", "e"])
    add(net, "Relu", ["x"], ["y"])
    add(net, "Relu", ["e"], ["z"])
    space = Workspace()
    space.create("e")
    space.create("x").feed(np.float32([1]))
    net.type = "dag"
    dag = space.bind(read_net(net))
    with pytest.raises(MissingBlobError, match='input 0 "e" is empty'):
        dag.run()
    assert space.get("y").is_empty


def test_a_new_batch_keeps_the_plan():
    native = NetDef(name="native", external_input=["x"])
    for i in range(4):
        add(native, "Relu", ["x"], [f"y{i}"])
    space, dag = bound(native, "dag", 3, {"x": np.zeros((2, 3), np.float32)})
    dag.run()
    plan = dag.last_plans[0]
    for rows in (1, 500, 3):
        space.create("x").feed(np.ones((rows, 3), np.float32))
        for _ in range(8):
            dag.run()
        assert dag.last_plans == [plan]
        assert space.fetch("y3").shape == (rows, 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_runs_on_threads_of_its_own():
    barrier = threading.Barrier(2, timeout=20)

    @serverquant.register("DagTestMeet", replace=True)
    def meet(x):
        barrier.wait()
        return x

    net = NetDef(name="meet", external_input=["x"])
    for i in range(2):
        add(net, "DagTestMeet", ["x"], [f"a{i}"])
    _, dag = bound(net, "dag", 2, {"x": np.zeros(2, np.float32)})
    dag.run()
    child = os.fork()
    if child == 0:
        try:
            dag.run()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


def test_nets_run_side_by_side():
    """Several threads, each with a net of its own on the shared helpers."""
    wrong = []

    def work(seed):
        net, feeds = random_net(seed), feeds_of(seed)
        one, simple = bound(net, "simple", 0, feeds)
        many, dag = bound(net, "dag", 3, feeds)
        for _ in range(20):
            simple.run()
            dag.run()
            if everything(one) != everything(many):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_operators_that_get_at_blobs_by_name_run_alone():
    inside = NetDef(name="inside", external_input=["t"], external_output=["y"])
    add(inside, "Relu", ["t"], ["y"])
    net = NetDef(name="by name", external_input=["x", "which"])
    add(net, "DagTestHalf", ["x"], ["t"])
    net.op.append(core.CreateOperator("If", ["which"], [], then_net=inside))
    add(net, "Copy", ["y"], ["z"])
    feeds = {"x": np.float32([-2, 4]), "which": np.array([True]), "y": np.float32([9])}
    net.external_input.append("y")
    space, dag = bound(net, "dag", 4, feeds)
    for _ in range(10):
        space.create("y").feed(feeds["y"])
        dag.run()
        assert space.fetch("z").tolist() == [0, 2]
