"""Native steps of two inputs when the batch changes: grids are joined once, for the first shapes."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core
from serverquant.proto import NetDef
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace


@pytest.mark.parametrize("item", [(1,), (), (2, 3), (3, 1, 2)])
@pytest.mark.parametrize("other", ["same", "item", "ones"])
@pytest.mark.parametrize("type_", ["Sub", "GT"])
def test_new_batches(item, other, type_):
    net = NetDef(name="net", external_input=["a", "b"], external_output=["y"])
    net.op.append(core.CreateOperator(type_, ["a", "b"], ["y"]))
    space, rng, bound = Workspace(), np.random.default_rng(1), None
    for batch in (1, 4, 2, 0, 1, 5):
        a = rng.integers(-3, 3, (batch, *item)).astype(np.float32)
        shape = {"same": (batch, *item), "item": item, "ones": (1,) * (1 + len(item))}[other]
        b = rng.integers(-3, 3, shape).astype(np.float32)
        space.create("a").feed(a)
        space.create("b").feed(b)
        bound = bound or space.bind(read_net(net))
        bound.run()
        want = a - b if type_ == "Sub" else a > b
        assert space.fetch("y").shape == want.shape
        assert space.fetch("y").tobytes() == want.tobytes()
