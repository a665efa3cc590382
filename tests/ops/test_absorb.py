"""Layers of a planned net that do the Relu or Clip behind them: the same bytes, fewer operators."""

from __future__ import annotations

import cases
import numpy as np
import pytest

from serverquant import core
from serverquant.proto.io import load_net
from serverquant.proto.wire import read_net
from serverquant.runtime.nets.planned import PlannedNet
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(2)
NAN = np.float32(np.nan)


def floats(*shape):
    values = RNG.standard_normal(shape).astype(np.float32)
    values.ravel()[::7] = RNG.choice(np.float32([0, -0.0]), values.ravel()[::7].shape)
    return values


def positive(*shape):
    return np.abs(floats(*shape))


FEEDS = {
    "Conv": {"w": floats(5, 3, 3, 3), "b": floats(5)},
    "FC": {"w": floats(7, 3 * 6 * 6), "b": floats(7)},
    "SpatialBN": {"s": floats(3), "b": floats(3), "m": floats(3), "v": positive(3)},
}
BEHIND = [
    ("Relu", {}),
    ("Clip", {"min": 0.0, "max": 6.0}),
    ("Clip", {"min": -0.0}),
    ("Clip", {"min": 1.0, "max": -1.0}),
    ("Clip", {}),
]
ARGS = {"Conv": {"kernel": 3}, "FC": {}, "SpatialBN": {"is_test": 1}}


def outputs(ops, feeds, results):
    """(types that a planned net runs, its results, those of a simple net)."""
    net = core.Net("net")
    net.AddExternalInput(*feeds)
    net.Proto().op.extend(ops)
    net.Proto().external_output.extend(results)
    found = []
    for make in (lambda file, space: space.bind(file), PlannedNet):
        space = Workspace()
        for name, value in feeds.items():
            space.create(name).feed(value)
        bound = make(read_net(net), space)
        for _ in range(2):
            bound.run()
        found.append({name: space.fetch(name).tobytes() for name in results})
    return [op.type for op in bound.operators], found[1], found[0]


@pytest.mark.parametrize("op_type", FEEDS)
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("behind", BEHIND)
def test_bounds_are_absorbed(op_type, in_place, behind):
    x = floats(2, 3, 6, 6)
    x[0, 0, 0, 0] = NAN
    feeds = {"X": x, **FEEDS[op_type]}
    out = "Y" if in_place else "Z"
    layer = core.CreateOperator(op_type, list(feeds), ["Y"], **ARGS[op_type])
    ops = [
        layer,
        core.CreateOperator(behind[0], ["Y"], [out], **behind[1]),
        core.CreateOperator("Copy", [out], ["end"]),
    ]
    types, planned, simple = outputs(ops, feeds, ["end"])
    assert types == [op_type, "Copy"]
    assert planned == simple


@pytest.mark.parametrize(
    ("behind", "results"),
    [
        ([("Relu", ["Y"], ["Z"])], ["Y", "Z"]),
        ([("Relu", ["Y"], ["Z"]), ("Add", ["Y", "Z"], ["S"])], ["S"]),
        ([("Copy", ["Y"], ["C"]), ("Relu", ["Y"], ["Z"])], ["C", "Z"]),
        ([("Sigmoid", ["Y"], ["Z"])], ["Z"]),
    ],
)
def test_what_others_read_stays(behind, results):
    feeds = {"X": floats(2, 3, 6, 6), **FEEDS["Conv"]}
    ops = [core.CreateOperator("Conv", ["X", "w", "b"], ["Y"], kernel=3)]
    ops += [core.CreateOperator(*definition) for definition in behind]
    types, planned, simple = outputs(ops, feeds, results)
    assert types == ["Conv", *(definition[0] for definition in behind)]
    assert planned == simple


@pytest.mark.parametrize("name", ["mobilenet_v2_quarter", pytest.param("mobilenet_v2_recipe", marks=pytest.mark.slow)])
def test_mobilenet(name):
    """Every Clip goes into the convolution before it."""
    case = cases.case(name)
    space = Workspace()
    space.run_once(case.init_path())
    feeds = {blob: space.fetch(blob) for blob in space.blobs} | case.inputs()
    predict = load_net(case.predict_path)
    ops, results = predict.op, list(predict.external_output)
    types, planned, simple = outputs(ops, feeds, results)
    assert "Clip" in {op.type for op in ops}
    assert "Clip" not in types
    assert planned == simple


def test_only_one_relu_is_taken():
    feeds = {"X": floats(2, 3, 6, 6), **FEEDS["Conv"]}
    ops = [core.CreateOperator("Conv", ["X", "w", "b"], ["Y"], kernel=3)]
    ops += [core.CreateOperator("Relu", ["Y"], ["Y"]) for _ in range(2)]
    types, planned, simple = outputs([*ops, core.CreateOperator("Copy", ["Y"], ["end"])], feeds, ["end"])
    assert types == ["Conv", "Relu", "Copy"]
    assert planned == simple
