"""Unary operators on plain tensors: arguments, types, conversions, errors. The kernels' own tests have the formulas."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run

from serverquant import core
from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError
from serverquant.ops.unary.maps import MAPS
from serverquant.proto.wire import read_net
from serverquant.runtime import registry
from serverquant.runtime.workspace import Workspace

X = np.float32([[-2, -0.5, 0, 0.25, 1, 3]])


def test_every_map_is_registered():
    assert all("" in registry.engines(name) for name in MAPS)


@pytest.mark.parametrize("name", MAPS)
def test_types(name):
    """Every declared type works, and gives its own type; no other does."""
    for dtype in ("float32", "float64", "int32", "int64", "bool"):
        declared = {"float32": "float", "float64": "double"}.get(dtype, dtype) in MAPS[name].types
        x = np.array([[1, 0], [1, 1]], dtype)
        if declared:
            y = run(name, {"X": x})
            assert (y.dtype, y.shape) == (x.dtype, x.shape)
        else:
            with pytest.raises(DTypeError, match=r'"X" \(\w+ 2x2\) cannot be used; expected a'):
                run(name, {"X": x})


@pytest.mark.parametrize("name", [name for name, found in MAPS.items() if found.inplace])
def test_in_place(name):
    np.testing.assert_array_equal(run(name, {"X": X}, ("X",)), run(name, {"X": X}))


@pytest.mark.parametrize(
    ("name", "arguments", "want"),
    [
        ("Clip", {"min": 2.0, "max": 1.0}, [1, 1, 1, 1, 1, 1]),
        ("Clip", {}, X[0]),
        ("ReluN", {"n": 0.75}, [0, 0, 0, 0.25, 0.75, 0.75]),
        ("LeakyRelu", {"alpha": 0.5}, [-1, -0.25, 0, 0.25, 1, 3]),
        ("ThresholdedRelu", {"alpha": 0.25}, [0, 0, 0, 0, 1, 3]),
        ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, [0, 0, 0.25, 0.375, 0.75, 1]),
        ("Scale", {"scale": 4.0}, X[0] * 4),
        ("EnsureClipped", {"min": -1.0, "max": 2.0}, [-1, -0.5, 0, 0.25, 1, 2]),
        ("Pow", {"exponent": 2.0}, X[0] ** 2),
        ("Pow", {"exponent": 3.0}, X[0] ** 3),
        ("Pow", {"exponent": 1.0}, X[0]),
        ("Pow", {"exponent": 0.0}, np.ones(6)),
        ("ReplaceNaN", {"value": 7.0}, X[0]),
    ],
)
def test_arguments(name, arguments, want):
    np.testing.assert_array_equal(run(name, {"X": X}, **arguments), [want])


def test_gelu_is_exact_unless_asked():
    exact, fast = run("Gelu", {"X": X}), run("Gelu", {"X": X}, fast_gelu=1)
    assert 0 < np.abs(exact - fast).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("Selu", {"scale": 1.0}, "scale is 1.0, but must be more than 1"),
        ("ReluN", {"n": 0.0}, "n is 0.0, but must be more than 0"),
        ("Logit", {"eps": 0.5}, "eps is 0.5, but must be between 0 and 0.5"),
        ("Mod", {}, "divisor, which must not be 0"),
        ("Pow", {}, "needs argument exponent or a second input"),
        ("Cast", {"to": 0}, "to is 0, which nothing is cast to"),
        ("Cast", {"to": "float16"}, "to is 'float16', which nothing is cast to; expected one of float (1)"),
    ],
)
def test_bad_arguments(name, arguments, says):
    with pytest.raises(ArgumentError) as caught:
        run(name, {"X": X}, **arguments)
    assert says in str(caught.value)


def test_mod():
    x = np.int64([7, -7, 2**40])
    assert run("Mod", {"X": x}, divisor=3).tolist() == [1, -1, 1]
    assert run("Mod", {"X": x}, divisor=-3, sign_follow_divisor=1).tolist() == [-2, -1, -2]
    assert run("Mod", {"X": x}, divisor=2**40 + 1).tolist() == x.tolist()


def test_is_nan():
    y = run("IsNaN", {"X": np.float32([1, np.nan, np.inf])})
    assert y.dtype == np.uint8
    assert y.tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["NanCheck", "EnforceFinite"])
def test_values_that_are_not_finite(name):
    outputs = ("Y",) if name == "NanCheck" else ()
    for bad in (np.nan, np.inf):
        with pytest.raises(ServerquantError, match=r"element 2 of input 0 is .*, which is not finite"):
            run(name, {"X": np.float32([0, 1, bad, bad])}, outputs)
    space = Workspace()
    bind(space, name, {"X": X}, outputs).run()
    if outputs:
        np.testing.assert_array_equal(space.fetch("Y"), X)


def test_cast():
    x = np.float32([[0, 1.7, -1.7, 300.5]])
    for to, want in (
        ("int32", [0, 1, -1, 300]),
        (10, [0, 1, -1, 300]),
        ("UINT8", [0, 1, 255, 44]),
        ("bool", [False, True, True, True]),
        ("float", x[0]),
        ("string", [b"0.000000", b"1.700000", b"-1.700000", b"300.500000"]),
    ):
        assert run("Cast", {"X": x}, to=to).tolist() == [list(want)]
    assert run("Cast", {"X": np.int8([-1, 7])}, to="int64").tolist() == [-1, 7]
    assert run("Cast", {"X": np.array([True, False])}, to="string").tolist() == [b"1", b"0"]
    with pytest.raises(DTypeError):
        run("Cast", {"X": x.astype(np.float16)}, to=1)


def test_cast_of_a_shape_is_done_while_planning():
    space = Workspace()
    for name, value in (("X", np.zeros((2, 3, 4), np.float32)), ("D", np.zeros(24, np.float32))):
        space.create(name).feed(value)
    net = core.Net("net")
    net.AddExternalInput("X", "D")
    net.Shape("X", "s")
    net.Cast("s", "s32", to=2)
    net.Mul(["s32", "s32"], "squares")
    net.Sub(["squares", "s32"], "less")
    net.Div(["less", "s32"], "ratio")
    net.Add(["ratio", "s32"], "sum")
    net.Reshape(["D", "s32"], ["Y", "old"])
    bound = space.bind(read_net(net))
    bound.run()
    assert space.fetch("Y").shape == (2, 3, 4)
    assert space.fetch("sum").tolist() == [3, 5, 7]
    assert space.fetch("sum").dtype == np.int32
