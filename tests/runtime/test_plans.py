"""Plans: new shapes, blobs that others write to, places where shapes depend on values."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace


def net_on(space: Workspace, build, **feeds):
    """A net built by `build(net)` on fed blobs."""
    for name, value in feeds.items():
        space.create(name).feed(value)
    net = core.Net("net")
    for name in feeds:
        net.AddExternalInput(name)
    build(net)
    return space.bind(read_net(net))


def f32(*values):
    return np.array(values, np.float32)


def test_a_new_batch_keeps_the_plan():
    space = Workspace()
    net = net_on(space, lambda n: n.Clip(n.Relu("X", "Y"), "Z", min=0.0, max=1.0), X=np.zeros((2, 3), np.float32))
    net.run()
    plan = net.last_plans[0]
    for rows in (5, 1, 0, 64):
        space.create("X").feed(np.full((rows, 3), 2, np.float32))
        net.run()
        assert net.last_plans == [plan]
        np.testing.assert_array_equal(space.fetch("Z"), np.ones((rows, 3)))


def test_other_changes_make_another_plan_and_the_first_is_kept():
    space = Workspace()
    net = net_on(space, lambda n: n.Transpose("X", "Y"), X=np.zeros((2, 3), np.float32))
    net.run()
    first = net.last_plans[0]
    space.create("X").feed(np.zeros((2, 3, 4), np.float32))
    net.run()
    assert net.last_plans[0] is not first
    assert space.fetch("Y").shape == (4, 3, 2)
    space.create("X").feed(np.zeros((2, 3), np.float32))
    net.run()
    assert net.last_plans[0] is first
    assert space.fetch("Y").shape == (3, 2)


def builds(net):
    """A list that grows with every plan that the net makes from now on."""
    made, build = [], net.build

    def counted(pending):
        made.append(pending)
        return build(pending)

    net.build = counted
    return made


def test_shapes_that_take_turns_take_new_batches_each():
    space = Workspace()
    net = net_on(space, lambda n: n.Softmax(n.Relu("X", "Y"), "Z"), X=np.zeros((2, 3), np.float32))
    made = builds(net)
    for rows, width in ((2, 3), (2, 5), (4, 3), (6, 5), (1, 3), (9, 5), (9, 3)):
        space.create("X").feed(np.zeros((rows, width), np.float32))
        net.run()
        assert space.fetch("Z").tolist() == [[np.float32(1) / np.float32(width)] * width] * rows
    assert len(made) == 2


@pytest.mark.parametrize("kind", ["simple", "planned", "dag"])
def test_lengths_that_never_repeat_are_not_planned_anew(kind):
    space = Workspace()
    table = np.arange(40, dtype=np.float32).reshape(10, 4)
    feeds = {"table": table, "indices": np.array([0]), "lengths": np.array([1], np.int32), "W": np.eye(4, dtype="f4")}
    for name, value in {**feeds, "b": np.zeros(4, np.float32)}.items():
        space.create(name).feed(value)
    net = core.Net("bags")
    net.AddExternalInput(*feeds, "b")
    net.SparseLengthsSum(["table", "indices", "lengths"], "sums")
    net.FC(["sums", "W", "b"], "Y")
    net.AddExternalOutput("Y")
    net.Proto().type, net.Proto().num_workers = kind, 2
    made = space.create_net(net)
    made.run()
    count = builds(made)
    rng = np.random.default_rng(0)
    for bags in (5, 5, 1, 0, 30, 3):
        lengths = rng.integers(0, 6, bags).astype(np.int32)
        indices = rng.integers(0, 10, lengths.sum())
        space.create("indices").feed(indices)
        space.create("lengths").feed(lengths)
        made.run()
        want = [table[part].sum(0) for part in np.split(indices, np.cumsum(lengths)[:-1])] if bags else []
        np.testing.assert_array_equal(space.fetch("Y"), np.array(want, np.float32).reshape(bags, 4))
    assert not count


def test_concat_takes_new_batches_along_its_axis():
    space = Workspace()
    net = net_on(space, lambda n: n.Concat(["A", "B"], ["C", "sizes"], axis=0), A=f32(1), B=f32(2, 3))
    net.run()
    space.create("B").feed(f32(4, 5, 6))
    net.run()
    assert space.fetch("C").tolist() == [1, 4, 5, 6]
    assert space.fetch("sizes").tolist() == [1, 3]


def test_a_blob_written_twice_in_different_shapes():
    def build(n):
        n.Copy("A", "T")
        n.Relu("T", "first")
        n.Copy("B", "T")
        n.Relu("T", "second")

    space = Workspace()
    net = net_on(space, build, A=f32(-1, 1), B=np.ones((2, 2), np.float32))
    for _ in range(3):
        net.run()
        assert space.fetch("first").tolist() == [0, 1]
        assert space.fetch("second").shape == (2, 2)


def test_a_blob_written_twice_in_one_shape_takes_a_new_batch_once():
    def build(n):
        n.Copy("A", "T")
        n.Relu("T", "first")
        n.Copy("B", "T")
        n.Relu("T", "second")

    space = Workspace()
    net = net_on(space, build, A=np.ones((2, 3), np.float32), B=np.ones((2, 3), np.float32))
    net.run()
    space.create("A").feed(np.ones((5, 3), np.float32))
    net.run()
    assert (space.fetch("first").shape, space.fetch("second").shape) == ((5, 3), (2, 3))


def test_another_writer_between_runs():
    space = Workspace()
    net = net_on(space, lambda n: n.Relu("X", "Y"), X=f32(-1, 1))
    net.run()
    space.create("Y").feed(np.zeros((7, 7), np.int64))
    net.run()
    assert space.fetch("Y").tolist() == [0, 1]


def test_in_place():
    space = Workspace()
    net = net_on(
        space, lambda n: (n.Copy("X", "Y"), n.Relu("Y", "Y"), n.Reshape("Y", ["Y", "old"], shape=[2, 1])), X=f32(-1, 1)
    )
    for _ in range(2):
        net.run()
        assert space.fetch("Y").tolist() == [[0], [1]]
        assert space.fetch("old").tolist() == [2]


def test_shapes_known_while_planning():
    def build(n):
        n.Shape("X", "shape")
        n.Gather(["shape", "first"], "rows")
        n.ExpandDims("rows", "rows1", dims=[0])
        n.Concat(["rows1", "rest"], ["wanted", "_"], axis=0)
        n.Reshape(["X", "wanted"], ["Y", "old"])

    space = Workspace()
    net = net_on(space, build, X=np.zeros((2, 3, 4), np.float32), first=np.array(0), rest=np.array([-1]))
    net.run()
    assert len(net.last_plans) == 1
    assert space.fetch("Y").shape == (2, 12)
    assert space.fetch("wanted").tolist() == [2, -1]
    space.create("X").feed(np.zeros((5, 3, 4), np.float32))
    net.run()
    assert space.fetch("Y").shape == (5, 12)
    space.create("rest").feed(np.array([3]))
    space.create("X").feed(np.zeros((5, 3), np.float32))
    net.run()
    assert space.fetch("Y").shape == (5, 3)


def test_a_shape_that_only_running_tells():
    def build(n):
        n.Add(["A", "B"], "wanted")
        n.Reshape(["X", "wanted"], ["Y", "old"])
        n.Relu("Y", "Z")

    space = Workspace()
    net = net_on(space, build, A=np.array([1, 2]), B=np.array([1, 1]), X=np.arange(6, dtype=np.float32))
    net.run()
    assert space.fetch("Z").shape == (2, 3)
    space.create("A").feed(np.array([2, 1]))
    net.run()
    assert space.fetch("Z").shape == (3, 2)


def test_an_error_leaves_earlier_outputs_and_the_net_usable():
    space = Workspace()
    net = net_on(
        space, lambda n: (n.Relu("X", "Y"), n.Gather(["Y", "I"], "Z")), X=f32(-1, 1), I=np.array([5])
    )
    with pytest.raises(RuntimeError, match=r"Gather \(op 1 of net .*index 5 at position 0 is out of range"):
        net.run()
    assert space.fetch("Y").tolist() == [0, 1]
    space.create("I").feed(np.array([1]))
    net.run()
    assert space.fetch("Z").tolist() == [1]


def test_what_has_no_batch_is_planned_anew():
    space = Workspace()
    net = net_on(space, lambda n: n.FloatToFused8BitRowwiseQuantized("X", "Y"), X=np.zeros(3, np.float32))
    net.run()
    space.create("X").feed(f32(1, 2, 3, 4, 5))
    net.run()
    assert space.fetch("Y").shape == (13,)


def test_parameters_apart_grow_with_their_rows():
    def build(n):
        n.FloatToRowwiseQuantized8Bits("X", ["D", "S"])
        n.Rowwise8BitQuantizedToFloat(["D", "T"], "Y")

    space = Workspace()
    net = net_on(space, build, X=np.ones((2, 3), np.float32), T=np.ones((2, 2), np.float32))
    net.run()
    space.create("X").feed(np.ones((4, 3), np.float32))
    with pytest.raises(RuntimeError, match='"T"'):
        net.run()
    space.create("T").feed(np.ones((4, 2), np.float32))
    net.run()
    assert space.fetch("Y").shape == (4, 3)
