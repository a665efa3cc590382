"""Operators that choose parameters, and those that take them."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant import core
from serverquant._base.errors import ArgumentError, DTypeError, OperatorError, ShapeError
from serverquant.proto.wire import read_net
from serverquant.qparams import QParams, choose, choose_weight, quantize
from serverquant.qparams.scheme import QuantScheme
from serverquant.runtime.workspace import Workspace

rng = np.random.default_rng(2)
X = rng.standard_normal((40, 30)).astype(np.float32)


def hold(space: Workspace, name: str, value) -> None:
    space.create(name).feed_object(value)


def made(op_type: str, objects: dict, feeds: dict, **args):
    """The object that an operator writes; its inputs are the feeds, then the objects."""
    space = Workspace()
    for name, value in objects.items():
        hold(space, name, value)
    bind_held(space, op_type, feeds, list(objects), ["P"], **args).run()
    return space.find("P").value


def bind_held(space: Workspace, op_type: str, feeds: dict, held: list, outputs=("Y",), engine="", **args):
    for name, value in feeds.items():
        feed(space, name, value)
    net = core.Net("net")
    net.AddExternalInput(*feeds, *held)
    net.Proto().op.extend([core.CreateOperator(op_type, [*feeds, *held], list(outputs), engine=engine, **args)])
    return space.bind(read_net(net), None)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(("kind", "ours"), [
    ("MIN_MAX_QUANTIZATION", "min_max"), ("P99_QUANTIZATION", "p99"), ("L2_MIN_QUANTIZATION_APPROX", "l2_approx"),
])  # fmt: skip
def test_params_by_a_scheme(kind, ours, symmetric):
    got = made("Int8GenQuantParams", {"S": QuantScheme(kind, symmetric)}, {"X": X})
    want = choose_weight(X, ours, 8, symmetric)
    assert (got.scale, got.zero_point) == (want.scale, want.zero_point + 128)
    if ours == "min_max":
        assert got == choose(X.min(), X.max(), 8, symmetric)


def test_params_of_a_range():
    ends = {"lo": np.float32([-3]), "hi": np.float32([5])}
    assert made("Int8GenQuantParamsMinMax", {"S": QuantScheme()}, ends) == choose(-3, 5)
    assert made("Int8GenQuantParamsMinMax", {"S": QuantScheme("", True)}, ends) == choose(-3, 5, 8, True)


def test_a_scheme_from_arguments():
    space = Workspace()
    bind(space, "Int8QuantSchemeBlobFill", {}, ["S"], quantization_kind="P99_QUANTIZATION", preserve_sparsity=1).run()
    assert space.find("S").value == QuantScheme("P99_QUANTIZATION", True)
    with pytest.raises(ArgumentError, match="quantization_kind"):
        bind(space, "Int8QuantSchemeBlobFill", {}, ["S"], quantization_kind="BEST")


@pytest.mark.parametrize(("engine", "params"), [("DNNLOWP", QParams(0.02, 100)), ("DNNLOWP_16", QParams(0.01, 90, 8))])
def test_quantize_as_told(engine, params):
    space = Workspace()
    hold(space, "P", params)
    bind_held(space, "Quantize", {"X": X}, ["P"], engine=engine, Y_scale=7.0).run()
    got = space.fetch("Y")
    assert (np.float32(got.scale), got.zero_point) == (np.float32(params.scale), params.zero_point)
    if engine == "DNNLOWP":
        np.testing.assert_array_equal(got.data, quantize(X, params))


@pytest.mark.parametrize("op_type", ["Int8FC", "Int8FCRelu"])
def test_fc_follows_its_fourth_input(op_type):
    weight, bias = rng.standard_normal((5, 30)).astype(np.float32), rng.standard_normal(5).astype(np.float32)
    space = Workspace()
    hold(space, "P", QParams(0.5, 100))
    net = bind_held(space, op_type, {"X": X, "W": weight, "b": bias}, ["P"], engine="DNNLOWP", Y_scale=7.0)
    for params in (QParams(0.5, 100), QParams(0.25, 60)):
        hold(space, "P", params)
        net.run()
        got = space.fetch("Y")
        want = run(op_type, {"X": X, "W": weight, "b": bias}, engine="DNNLOWP", Y_scale=params.scale,
                   Y_zero_point=params.zero_point)  # fmt: skip
        assert got[1:] == want[1:]
        np.testing.assert_array_equal(got.data, want.data)


def test_equalization_scale():
    x, w = np.float32([[1, 0, -4], [0.5, 0, 2]]), np.float32([[4, 1, 0], [-9, 2, 0]])
    got = run("ComputeEqualizationScale", {"X": x, "W": w})
    np.testing.assert_array_equal(got, [3, 1, 1])
    with pytest.raises(ShapeError, match="rows of one size"):
        run("ComputeEqualizationScale", {"X": x, "W": w[:, :2]})


def test_other_objects_are_refused():
    with pytest.raises(OperatorError, match="no scheme"):
        made("Int8GenQuantParams", {"S": QParams(1.0, 0)}, {"X": X})
    space = Workspace()
    hold(space, "P", QuantScheme())
    with pytest.raises(OperatorError, match="no quantization parameters"):
        bind_held(space, "Quantize", {"X": X}, ["P"], engine="DNNLOWP").run()
    with pytest.raises(DTypeError):
        run("Int8GenQuantParams", {"X": X, "S": X})
    with pytest.raises(ShapeError, match="one element"):
        made("Int8GenQuantParamsMinMax", {"S": QuantScheme()}, {"lo": X, "hi": X})
