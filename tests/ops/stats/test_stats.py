"""Counters: what is put in comes out, in the registry it was meant for."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed

from serverquant import core
from serverquant._base.errors import ArgumentError, DTypeError, OperatorError, ShapeError
from serverquant.runtime.workspace import Workspace


def net_of(op, inputs, outputs=(), **args):
    net = core.Net("stats")
    if inputs:
        net.AddExternalInput(*inputs)
    net.Proto().op.extend([core.CreateOperator(op, list(inputs), list(outputs), **args)])
    return net


def export(space, *handle, **args):
    space.run_once(net_of("StatRegistryExport", handle, ["k", "v", "t"], **args))
    return dict(zip(space.fetch("k").tolist(), space.fetch("v").tolist()))


def update(space, keys, values):
    feed(space, "K", np.array(keys, object))
    feed(space, "V", np.array(values, np.int64))
    space.run_once(net_of("StatRegistryUpdate", ["K", "V", "reg"]))


def registry():
    space = Workspace()
    space.run_once(net_of("StatRegistryCreate", [], ["reg"]))
    return space


def test_a_registry_of_its_own():
    space = registry()
    update(space, [b"a", b"b"], [3, 4])
    update(space, [b"a", b"c"], [1, -1])
    assert export(space, "reg", reset=0) == {b"a": 4, b"b": 4, b"c": -1}
    assert export(space, "reg") == {b"a": 4, b"b": 4, b"c": -1}
    assert export(space, "reg") == {b"a": 0, b"b": 0, b"c": 0}
    assert space.fetch("t").dtype == np.int64


def test_counters_wrap():
    space = registry()
    update(space, [b"a"], [2**63 - 1])
    update(space, [b"a"], [1])
    assert export(space, "reg") == {b"a": -(2**63)}


def put(op, values, **args):
    """Counters of an operator that ran once for each value."""
    space = Workspace()
    net = bind(space, op, {"x": values[0]}, [], stat_name="test", **args)
    export(space)
    for value in values:
        feed(space, "x", value)
        net.run()
    return {k.decode(): v for k, v in export(space).items() if k.startswith(b"test/") and v}


def test_put():
    assert put("IncrementPut", [np.float32([2.75]), np.float32([-1])], magnitude_expand=10) == {"test/stat_value": 17}
    assert put("AveragePut", [np.int32([3]), np.int32([4])]) == {"test/stat_value/sum": 7, "test/stat_value/count": 2}
    assert put("StdDevPut", [np.int64([3]), np.int64([5])]) == {
        "test/stat_value/sum": 8,
        "test/stat_value/count": 2,
        "test/stat_value/sumoffset": 2,
        "test/stat_value/sumsqoffset": 4,
    }
    assert put("IncrementPut", [np.float32([])], default_value=2.5) == {"test/stat_value": 2}
    assert put("IncrementPut", [np.float32([1e30])], bound=1) == {"test/stat_value": 2**63 - 1}
    assert put("IncrementPut", [np.float32([np.nan])], bound=1) == {}


@pytest.mark.parametrize(
    ("value", "args", "error", "says"),
    [
        (np.float32([]), {}, OperatorError, "the input is empty"),
        (np.float32([np.nan]), {}, OperatorError, "not a number"),
        (np.float32([1e30]), {}, OperatorError, "too large"),
        (np.float32([1]), {"magnitude_expand": 0}, ArgumentError, "magnitude_expand is 0"),
    ],
)
def test_refused(value, args, error, says):
    with pytest.raises(error, match=says):
        put("AveragePut", [value], **args)


def test_refused_registries():
    space = registry()
    with pytest.raises(ShapeError, match="there are 2 keys and 1 values"):
        update(space, [b"a", b"b"], [1])
    feed(space, "reg", np.zeros(3))
    with pytest.raises(DTypeError, match="expected what StatRegistryCreate makes"):
        update(space, [b"a"], [1])
