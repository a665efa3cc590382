"""Lists of tensors."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant import core
from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace


def run_ops(feeds: dict, *ops, space: Workspace | None = None) -> Workspace:
    """Runs (type, inputs, outputs, arguments) one after the other in a workspace."""
    space = space or Workspace()
    for name, value in feeds.items():
        space.create(name).feed(value)
    net = core.Net("net")
    if feeds:
        net.AddExternalInput(*feeds)
    for op_type, inputs, outputs, args in ops:
        net.Proto().op.extend([core.CreateOperator(op_type, inputs, outputs, **args)])
    space.bind(read_net(net)).run()
    return space


def collected(tensors: list, most: int) -> Workspace:
    """A list "t" that one operator has collected tensors into, run by run."""
    space = run_ops({"X": tensors[0]}, ("CreateTensorVector", [], ["t"], {}))
    net = core.Net("net")
    net.AddExternalInput("X", "t")
    net.CollectTensor(["t", "X"], ["t"], num_to_collect=most)
    bound = space.bind(read_net(net))
    for tensor in tensors:
        space.create("X").feed(tensor)
        bound.run()
    ends = ("TensorVectorSize", ["t"], ["n"], {}), ("ConcatTensorVector", ["t"], ["Y"], {})
    return run_ops({}, *ends, space=space)


def test_lists_of_tensors():
    space = collected([np.full((i + 1, 2), i, np.float32) for i in range(3)], 3)
    assert space.fetch("n") == 3
    assert space.fetch("Y")[:, 0].tolist() == [0, 1, 1, 2, 2, 2]
    with pytest.raises(ShapeError, match="empty"):
        run_ops({}, ("CreateTensorVector", [], ["t"], {}), ("ConcatTensorVector", ["t"], ["Y"], {}))


def test_a_full_list_keeps_a_choice():
    space = collected([np.float32([i]) for i in range(40)], 2)
    assert space.fetch("n") == 2
    assert set(space.fetch("Y").tolist()) < set(range(40))


def test_refused():
    x = np.zeros(1, np.float32)
    with pytest.raises(DTypeError, match="not a list"):
        run("TensorVectorSize", {"X": x})
    with pytest.raises(ArgumentError, match="in place"):
        run("CollectTensor", {"t": x, "X": x}, num_to_collect=1)
    with pytest.raises(ArgumentError, match="at least 1"):
        run("CollectTensor", {"t": x, "X": x}, ("t",))
