"""One operator on fed blobs, for the tests of operators."""

from __future__ import annotations

from serverquant import core
from serverquant.blobs.store import Int8
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace


def bind(space: Workspace, op_type: str, feeds: dict, outputs=("Y",), engine: str = "", fix=None, **args):
    """A net of one operator that reads `feeds` in their order."""
    for name, value in feeds.items():
        feed(space, name, value)
    net = core.Net("net")
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
