"""Planned nets: the outputs of `simple`, in less memory; what is kept, dropped, computed ahead; errors."""

from __future__ import annotations

import random

import numpy as np
import pytest

import serverquant
from serverquant import core
from serverquant._base.errors import MissingBlobError, ServerquantError
from serverquant.blobs._blob import Blob
from serverquant.proto import NetDef
from serverquant.proto.wire import read_net
from serverquant.runtime import _dag
from serverquant.runtime.nets.planned import PlannedDagNet, PlannedNet
from serverquant.runtime.nets.simple import SimpleNet
from serverquant.runtime.workspace import Workspace


def add(net, type_, inputs, outputs, **args):
    net.op.append(core.CreateOperator(type_, inputs, outputs, **args))
    return outputs[0]


def pair(net, feeds, planned=PlannedNet, **how):
    """The net on two workspaces: simple, and planned."""
    made = []
    for kind in (SimpleNet, planned):
        space = Workspace()
        for name, value in feeds.items():
            space.create(name).feed(value)
        made.append((space, kind(read_net(net), space, **(how if kind is planned else {}))))
    return made


def same(one, other):
    if isinstance(one, tuple):
        return one[0].tobytes() == other[0].tobytes() and one[1:] == other[1:]
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def check(net, feeds, runs=3, others=(), **how):
    """Run both kinds and compare the outputs, then with each of the other feeds. Returns the planned net."""
    (one, simple), (other, planned) = pair(net, feeds, **how)
    for more in [feeds, *others, feeds]:
        for name, value in more.items():
            one.create(name).feed(value)
            other.create(name).feed(value)
        for _ in range(runs):
            simple.run()
            planned.run()
            for name in net.external_output:
                assert same(one.fetch(name), other.fetch(name)), name
    return planned


ROWS = (4, 9, 2)
SHAPES = {"a": (4, 8), "b": (1, 8), "c": (8,), "d": (4, 1)}


def with_rows(shape, rows: int):
    return tuple(rows if d == 4 else d for d in shape)


@serverquant.register("PlannedTestOpen", replace=True)
def unknown_shape(x):
    return x * np.float32(0.5)


def broadcast(one, other):
    """The shapes of a sum for each number of rows, or None."""
    try:
        return [np.broadcast_shapes(x, y) for x, y in zip(one, other)]
    except ValueError:
        return None


def random_net(seed: int, steps: int = 40) -> NetDef:
    """Operators over float and Int8 values of several shapes that write old and new names, in place too."""
    rng = random.Random(seed)
    net = NetDef(name=f"random{seed}", external_input=[*SHAPES])
    floats = {name: [with_rows(shape, rows) for rows in ROWS] for name, shape in SHAPES.items()}
    int8s: list[str] = []
    for step in range(steps):
        x, y = rng.choice([*floats]), rng.choice([*floats])
        out = rng.choice([f"n{step}", f"n{step}", f"n{rng.randrange(steps)}"])
        wide = len(floats[x][0]) == 2
        kind = rng.randrange(10)
        if kind == 0:
            out = rng.choice([x if x not in SHAPES else out, out])
            add(net, "Relu", [x], [out])
            floats[out] = floats[x]
        elif out in (x, y):
            continue
        elif kind in (1, 2):
            found = broadcast(floats[x], floats[y]) if wide and len(floats[y][0]) == 2 else None
            if found:
                add(net, "Add" if kind == 1 else "Mul", [x, y], [out])
                floats[out] = found
        elif kind in (3, 4):
            copies = ({"type_": "Copy"}, {"type_": "Clip", "min": -1.0, "max": 1.5}, {"type_": "PlannedTestOpen"})
            add(net, inputs=[x], outputs=[out], **rng.choice(copies))
            floats[out] = floats[x]
        elif kind == 5 and wide:
            add(net, "Concat", [x, x], [out, f"split{step}"], axis=1)
            floats[out] = [(shape[0], 2 * shape[1]) for shape in floats[x]]
            add(net, "Softmax", [out], [f"soft{step}"])
            floats[f"soft{step}"] = floats[out]
        elif kind == 6:
            add(net, "Reshape", [x], [out, f"old{step}"], shape=[-1, 1])
            floats[out] = [(int(np.prod(shape)), 1) for shape in floats[x]]
        elif kind == 7:
            int8s.append(add(net, "Quantize", [x], [f"q{step}"], engine="DNNLOWP", Y_scale=0.02, Y_zero_point=step))
        elif kind == 8 and int8s:
            q = rng.choice(int8s)
            int8s.append(add(net, "Relu", [q], [rng.choice([q, f"r{step}"])], engine="DNNLOWP"))
        elif kind == 9:
            add(net, "GivenTensorFill", [], [f"k{step}"], shape=[1, 8], values=[float(i - step % 5) for i in range(8)])
            floats[f"k{step}"] = [(1, 8)] * len(ROWS)
    made = sorted({name for op in net.op for name in op.output if name in floats or name in int8s})
    net.external_output.extend(rng.sample(made, min(3, len(made))))
    return net


def random_feeds(seed: int, rows: int):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=with_rows(shape, rows)).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture
def _all_threads():
    _dag.force_threads(True)
    yield
    _dag.force_threads(False)


@pytest.mark.parametrize("kind", [PlannedNet, PlannedDagNet])
@pytest.mark.usefixtures("_all_threads")
def test_the_outputs_of_simple(kind):
    saved = total = 0
    for seed in range(120):
        net = random_net(seed)
        net.num_workers = 3
        first, *others = (random_feeds(seed + rows, rows) for rows in ROWS)
        planned = check(net, first, 2, others, planned=kind)
        saved += len(net.op) - len(planned.operators)
        total += len(net.op)
    assert 0 < saved < total


def test_memory_of_a_chain_is_two_places():
    net = NetDef(name="chain", external_input=["x"], external_output=["y"])
    for i in range(12):
        add(net, "Transpose", ["x" if i == 0 else f"t{i - 1}"], ["y" if i == 11 else f"t{i}"], axes=[1, 0])
    planned = check(net, {"x": np.ones((100, 200), np.float32)})
    assert planned.inner_bytes == 2 * 100 * 200 * 4


def test_on_threads_branches_share_no_memory():
    """Two chains beside each other need two places each; one behind the other three in all."""
    net = NetDef(name="branches", num_workers=2, external_input=["x"], external_output=["y"])
    for branch in "ab":
        for i in range(6):
            source = "x" if i == 0 else f"{branch}{i - 1}"
            add(net, "Transpose", [source], [f"{branch}{i}"], axes=[1, 0])
    add(net, "Add", ["a5", "b5"], ["y"])
    feeds = {"x": np.ones((10, 20), np.float32)}
    each = 10 * 20 * 4
    assert check(net, feeds).inner_bytes == 3 * each
    assert check(net, feeds, planned=PlannedDagNet).inner_bytes == 4 * each


def test_operators_work_in_place_where_they_may():
    net = NetDef(name="chain", external_input=["x"], external_output=["y"])
    add(net, "Copy", ["x"], ["t"])
    for i in range(6):
        add(net, "Relu", ["t" if i == 0 else f"t{i - 1}"], [f"t{i}"])
    add(net, "Add", ["t5", "x"], ["u"])
    add(net, "Copy", ["u"], ["y"])
    planned = check(net, {"x": np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)})
    assert planned.inner_bytes == 8 * 8 * 4


def test_in_place_only_while_it_fits():
    """b + a is as large as b at first, and larger than b later: another plan, or the same with another batch."""
    net = NetDef(name="grow", external_input=["a", "b"], external_output=["y", "z"])
    add(net, "Relu", ["b"], ["t"])
    add(net, "Add", ["t", "a"], ["s"])
    add(net, "Relu", ["s"], ["u"])
    add(net, "Mul", ["u", "u"], ["y"])
    add(net, "Add", ["y", "y"], ["z"])
    small = {"a": np.float32([[1, 2]]), "b": np.float32([[3, -4]])}
    large = {"a": np.ones((300, 2), np.float32), "b": np.float32([[3, -4]])}
    larger = {"a": np.ones((700, 2), np.float32), "b": np.float32([[5, -4]])}
    check(net, small, 2, [large, small, larger, {"a": np.ones((5, 2), np.float32), "b": np.ones((5, 2), np.float32)}])


def test_dead_operators_are_dropped_and_effects_are_not():
    calls = []

    @serverquant.register("PlannedTestSpy", replace=True)
    def spy(x):
        calls.append(1)
        return x

    net = NetDef(name="dead", external_input=["x"], external_output=["y"])
    add(net, "Relu", ["x"], ["unused"])
    add(net, "Softmax", ["unused"], ["unused too"])
    add(net, "PlannedTestSpy", ["x"], ["seen"])
    add(net, "GaussianFill", [], ["noise"], shape=[3])
    add(net, "Relu", ["x"], ["y"])
    planned = check(net, {"x": np.float32([[-1, 1]])}, runs=1)
    assert [op.type for op in planned.operators] == ["PlannedTestSpy", "GaussianFill", "Relu"]
    assert calls


def test_constants_are_computed_once():
    net = NetDef(name="fold", external_input=["x", "w"], external_output=["y"])
    add(net, "GivenTensorFill", [], ["k"], shape=[1, 2], values=[1.0, -2.0])
    add(net, "Relu", ["k"], ["k1"])
    add(net, "Add", ["k1", "w"], ["k2"])
    add(net, "Add", ["x", "k2"], ["y"])
    feeds = {"x": np.float32([[1, 2]]), "w": np.float32([[5, 6]])}
    assert [op.type for op in check(net, feeds).operators] == ["Add", "Add"]
    planned = check(net, feeds, constants=["w"])
    assert [op.type for op in planned.operators] == ["Add"]


def test_constants_that_the_net_overwrites_are_made_at_every_run():
    net = NetDef(name="over", external_input=["x"], external_output=["y"])
    add(net, "GivenTensorFill", [], ["k"], shape=[1, 2], values=[1.0, -2.0])
    add(net, "Add", ["k", "x"], ["k"])
    add(net, "Copy", ["k"], ["y"])
    check(net, {"x": np.float32([[1, 2]])})


def test_what_cannot_be_computed_ahead_fails_in_the_run():
    net = NetDef(name="late", external_input=["x"], external_output=["y"])
    add(net, "GivenTensorIntFill", [], ["i"], shape=[1], values=[9])
    add(net, "GivenTensorFill", [], ["k"], shape=[2], values=[1.0, 2.0])
    add(net, "Gather", ["k", "i"], ["g"])
    add(net, "Add", ["x", "g"], ["y"])
    (_, simple), (_, planned) = pair(net, {"x": np.float32([1])})
    for made in (simple, planned):
        with pytest.raises(ServerquantError, match=r'Gather \(op 2 of net "late"\).*index 9'):
            made.run()


def test_shapes_that_only_running_tells():
    net = NetDef(name="values", external_input=["x", "how"], external_output=["y"])
    add(net, "Relu", ["x"], ["t"])
    add(net, "Add", ["how", "how"], ["twice"])
    add(net, "Reshape", ["t", "twice"], ["s", "old"])
    add(net, "Relu", ["s"], ["u"])
    add(net, "Softmax", ["u"], ["y"])
    x = np.linspace(-1, 1, 32, dtype=np.float32)
    others = [{"x": x, "how": np.array([1, 8])}, {"x": x[:16], "how": np.array([2, 2])}]
    check(net, {"x": x, "how": np.array([2, 4])}, 2, others)


def test_inner_blobs_say_why_they_are_empty():
    net = NetDef(name="inner", type="planned", external_input=["x"], external_output=["y"])
    add(net, "Relu", ["x"], ["t"])
    add(net, "Softmax", ["t"], ["y"])
    space = Workspace()
    space.create("x").feed(np.float32([[1, 2]]))
    space.create_net(net).run()
    assert space.fetch("y").shape == (1, 2)
    with pytest.raises(MissingBlobError, match='blob "t" is empty: it is inner memory of net "inner"'):
        space.fetch("t")
    reader = NetDef(name="reader", external_input=["t"])
    add(reader, "Relu", ["t"], ["z"])
    with pytest.raises(MissingBlobError, match='input 0 "t" is empty: it is inner memory'):
        space.create_net(reader).run()
    space.create("t").feed(np.float32([1]))
    assert space.fetch("t").tolist() == [1]


def test_without_external_outputs_everything_unread_is_one():
    net = NetDef(name="open", external_input=["x"])
    add(net, "Relu", ["x"], ["t"])
    add(net, "Softmax", ["t"], ["y"])
    add(net, "Copy", ["t"], ["z"])
    space = Workspace()
    space.create("x").feed(np.float32([[1, -2]]))
    PlannedNet(read_net(net), space).run()
    assert space.fetch("z").tolist() == [[1, 0]]
    assert space.fetch("y").shape == (1, 2)
    assert space.get("t").is_empty


def test_blobs_that_are_read_before_they_are_written_live_on():
    net = NetDef(name="state", external_input=["x", "sum"], external_output=["y"])
    add(net, "Add", ["sum", "x"], ["sum"])
    add(net, "Relu", ["sum"], ["y"])
    (one, simple), (other, planned) = pair(net, {"x": np.float32([1, -2]), "sum": np.zeros(2, np.float32)})
    for _ in range(3):
        simple.run()
        planned.run()
        assert one.fetch("sum").tolist() == other.fetch("sum").tolist()
    assert other.fetch("y").tolist() == [3, 0]


def test_errors_name_the_nets_own_blobs():
    @serverquant.register("PlannedTestBad", replace=True, inputs=1, outputs=1, shape=lambda op, ins: [ins[0].dims])
    class Bad(serverquant.PythonOperator):
        def run(self, inputs, outputs):
            if inputs[0].max() > 5:
                raise ValueError("too large")
            outputs[0][...] = inputs[0]

    net = NetDef(name="wrong", external_input=["x"], external_output=["y"])
    add(net, "Relu", ["x"], ["first"])
    add(net, "PlannedTestBad", ["first"], ["second"])
    add(net, "Relu", ["second"], ["y"])
    _, (space, planned) = pair(net, {"x": np.float32([9])})
    with pytest.raises(ServerquantError, match=r'PlannedTestBad \(op 1 of net "wrong"\): .*too large.*"first"'):
        planned.run()
    space.create("x").feed(np.float32([3]))
    planned.run()
    assert space.fetch("y").tolist() == [3]


def test_slim_blobs_drop_what_a_packed_form_gives_back():
    blob = Blob("w")
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    blob.feed(values)
    made = []

    def pack():
        made.append(blob.view().copy())
        return made[-1].T.copy()

    assert blob.packed("turned", pack, np.transpose) is not None
    assert not blob.is_dropped
    blob.slim = True
    blob.packed("turned", pack, np.transpose)
    assert blob.is_dropped
    assert len(made) == 1
    np.testing.assert_array_equal(blob.fetch(), values)
    assert blob.is_dropped
    blob.packed("other", pack, np.transpose)
    assert len(made) == 2
    assert blob.is_dropped
    blob.feed(values + 1)
    np.testing.assert_array_equal(blob.fetch(), values + 1)
    blob.packed("kept", pack)
    assert not blob.is_dropped


def test_dropout_is_left_out_or_computed_ahead_only_as_a_copy():
    for is_test, left in ((1, 1), (0, 3)):
        net = NetDef(name="drop", external_input=["x"], external_output=["y"])
        add(net, "ConstantFill", [], ["k"], shape=[2], value=1.0)
        add(net, "Dropout", ["k"], ["d", "mask"], ratio=0.5, is_test=is_test)
        add(net, "Dropout", ["x"], ["unused", "mask2"], ratio=0.5, is_test=is_test)
        add(net, "Add", ["x", "d"], ["y"])
        _, (_, planned) = pair(net, {"x": np.float32([1, 2])})
        assert len(planned.operators) == left


def test_operators_that_get_at_blobs_by_name_find_them_all():
    inside = NetDef(name="inside", external_input=["t"], external_output=["y"])
    add(inside, "Relu", ["t"], ["y"])
    net = NetDef(name="by name", type="planned", external_input=["x", "which"], external_output=["y"])
    add(net, "Copy", ["x"], ["t"])
    net.op.append(core.CreateOperator("If", ["which"], [], then_net=inside))
    space = Workspace()
    space.create("x").feed(np.float32([-1, 2]))
    space.create("which").feed(np.array([True]))
    space.create_net(net).run()
    assert space.fetch("y").tolist() == [0, 2]


def test_checks_stay():
    net = NetDef(name="checks", external_input=["x"], external_output=["y"])
    add(net, "Relu", ["x"], ["t"])
    net.op.append(core.CreateOperator("EnforceFinite", ["t"], []))
    add(net, "Softmax", ["x"], ["y"])
    _, (space, planned) = pair(net, {"x": np.float32([[1, np.inf]])})
    with pytest.raises(ServerquantError, match="EnforceFinite"):
        planned.run()
    space.create("x").feed(np.float32([[1, 2]]))
    planned.run()


def test_inputs_that_an_operator_looks_up_by_name_are_kept():
    @serverquant.register("PlannedTestByName", replace=True)
    class ByName(serverquant.PythonOperator):
        named_inputs = True

        def run(self, inputs, outputs):
            outputs[0] = self.definition.store.fetch("t") + np.float32(1)

    net = NetDef(name="named", external_input=["x"], external_output=["y"])
    add(net, "Relu", ["x"], ["s"])
    add(net, "Relu", ["s"], ["t"])
    add(net, "PlannedTestByName", ["t"], ["u"])
    add(net, "Relu", ["u"], ["y"])
    check(net, {"x": np.float32([-1, 2])})
