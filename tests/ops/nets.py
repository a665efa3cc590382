"""One operator on fed blobs, for the tests of operators."""

from __future__ import annotations

import numpy as np

from serverquant import core
from serverquant.blobs.store import Int8
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace


def bind(space: Workspace, op_type: str, feeds: dict, outputs=("Y",), engine: str = "", fix=None, **args):
    """A net of one operator that reads `feeds` in their order."""
    for name, value in feeds.items():
        feed(space, name, value)
    net = core.Net("net")
    if feeds:
        net.AddExternalInput(*feeds)
    net.Proto().op.extend([core.CreateOperator(op_type, list(feeds), list(outputs), engine=engine, **args)])
    return space.bind(read_net(net), fix)


def feed(space: Workspace, name: str, value) -> None:
    """An array, an `Int8`, or the object of another workspace's blob (packed weights)."""
    blob = space.create(name)
    if isinstance(value, Int8):
        blob.feed_int8(*value)
    elif hasattr(value, "dims"):
        blob.feed_object(value)
    else:
        blob.feed(value)


def run(op_type: str, feeds: dict, outputs=("Y",), **args):
    """The outputs of one run; alone if it is one."""
    space = Workspace()
    bind(space, op_type, feeds, outputs, **args).run()
    got = [space.fetch(name) for name in outputs]
    return got[0] if len(got) == 1 else got


def check_rebatching(op_type: str, feeds_of, batches=(3, 5, 2), outputs=("Y",), **args) -> None:
    """Other batches need no new plan, and give what a net of their own gives. `feeds_of(batch)` makes the inputs."""
    space = Workspace()
    net = bind(space, op_type, feeds_of(batches[0]), outputs, **args)
    net.run()
    plans = net.last_plans
    for batch in batches:
        feeds = feeds_of(batch)
        for name, value in feeds.items():
            feed(space, name, value)
        net.run()
        assert net.last_plans == plans, f"batch {batch} was planned anew"
        own = Workspace()
        bind(own, op_type, feeds, outputs, **args).run()
        for name in outputs:
            np.testing.assert_array_equal(space.fetch(name), own.fetch(name), f"{name} of batch {batch}")
