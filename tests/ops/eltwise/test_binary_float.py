"""Operators of several plain tensors: broadcast, types, channels, errors. Kernels' own tests have the formulas."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import check_rebatching, run

from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError
from serverquant.ops.eltwise.maps import BINARIES, FOLDS
from serverquant.runtime import registry

NUMPY = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "LT": np.less,
    "LE": np.less_equal,
    "GT": np.greater,
    "GE": np.greater_equal,
    "EQ": np.equal,
    "NE": np.not_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
}
DTYPES = {"float": "f4", "double": "f8", "int32": "i4", "int64": "i8", "bool": "?"}


def numbers(shape, dtype, seed=0):
    return np.random.default_rng((seed, *shape)).integers(-3, 4, shape).astype(dtype)


def test_every_type_is_registered():
    assert BINARIES.keys() == NUMPY.keys()
    assert all("" in registry.engines(name) for name in (*BINARIES, *FOLDS))


@pytest.mark.parametrize("name", BINARIES)
def test_types(name):
    for declared, dtype in DTYPES.items():
        a, b = numbers((3, 4), dtype, 1), numbers((3, 4), dtype, 2)
        b[b == 0] = 1
        if declared in BINARIES[name].types:
            y = run(name, {"A": a, "B": b})
            want = NUMPY[name](a, b)
            if name == "Div" and dtype in ("i4", "i8"):
                want = np.trunc(a / b)
            np.testing.assert_array_equal(y, want)
            assert y.dtype == (np.bool_ if BINARIES[name].bool_out else dtype)
        else:
            with pytest.raises(DTypeError, match='"A"'):
                run(name, {"A": a, "B": b})


@pytest.mark.parametrize("name", ["Sub", "GT"])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3), (2, 3)),
        ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 1, 4), (3, 1)),
        ((), (2, 2)),
        ((2, 0, 3), (1, 3)),
        ((1, 5), (4, 1)),
    ],
)
def test_numpy_broadcast(name, a, b):
    a, b = numbers(a, "f4", 1), numbers(b, "f4", 2)
    np.testing.assert_array_equal(run(name, {"A": a, "B": b}), NUMPY[name](a, b))


@pytest.mark.parametrize("name", ["Sub", "LE"])
@pytest.mark.parametrize(
    ("a", "b", "arguments", "over"),
    [
        ((2, 3, 4), (4,), {}, (4,)),
        ((2, 3, 4), (3, 4), {}, (3, 4)),
        ((2, 3, 4), (3,), {"axis": 1}, (3, 1)),
        ((2, 3, 4), (2, 3), {"axis": 0}, (2, 3, 1)),
        ((2, 3, 4), (1, 3, 1), {}, (3, 1)),
        ((2, 3, 4), (3, 1), {}, (3, 1)),
        ((2, 3, 4), (1,), {"axis": 9}, (1,)),
        ((2, 3, 4, 5), (3,), {"axis_str": "C"}, (3, 1, 1)),
        ((2, 3, 4, 5), (5,), {"axis_str": "C", "order": "NHWC"}, (5,)),
    ],
)
def test_old_broadcast(name, a, b, arguments, over):
    a, b = numbers(a, "f4", 1), numbers(b, "f4", 2)
    got = run(name, {"A": a, "B": b}, broadcast=1, **arguments)
    np.testing.assert_array_equal(got, NUMPY[name](a, b.reshape(over)))


@pytest.mark.parametrize(
    ("a", "b", "arguments", "error"),
    [
        ((2, 3), (4,), {}, ShapeError),
        ((2, 3), (2,), {"broadcast": 1}, ShapeError),
        ((3,), (2, 3), {"broadcast": 1}, ShapeError),
        ((2, 3, 4), (3,), {"broadcast": 1, "axis": -2}, ShapeError),
        ((2, 3, 4), (3,), {"broadcast": 1, "axis": 1, "axis_str": "C"}, ArgumentError),
        ((2, 3, 4), (3,), {"broadcast": 1, "axis_str": "X"}, ArgumentError),
    ],
)
def test_shapes_that_do_not_fit(a, b, arguments, error):
    with pytest.raises(error):
        run("Add", {"A": numbers(a, "f4"), "B": numbers(b, "f4")}, **arguments)


def test_other_type_beside():
    with pytest.raises(DTypeError, match=r'"B" \(double 2\) cannot be used; expected a float tensor'):
        run("Add", {"A": np.zeros(2, np.float32), "B": np.zeros(2)})


def test_division_of_integers():
    a, b = np.int32([7, -7, 7, -(2**31)]), np.int32([2, 2, -2, -1])
    assert run("Div", {"A": a, "B": b}).tolist() == [3, -3, -3, -(2**31)]
    with pytest.raises(ServerquantError, match="division by zero: element 2 of input 1"):
        run("Div", {"A": a, "B": np.int32([1, 1, 0, 0])})


@pytest.mark.parametrize("name", ["Add", "LE", "PRelu", "RowMul"])
def test_new_batches_need_no_plan(name):
    second = {"PRelu": ((3,),), "RowMul": (("batch",),)}.get(name, (("batch", 3, 4), (3, 4), ("batch", 1, 4), (1,)))
    for dims in second:

        def feeds_of(batch, dims=dims):
            shape = tuple(batch if d == "batch" else d for d in dims)
            return {"A": numbers((batch, 3, 4), "f4", 1), "B": numbers(shape, "f4", 2)}

        check_rebatching(name, feeds_of)


def test_new_batches_of_several_inputs():
    check_rebatching("Mean", lambda batch: {name: numbers((batch, 5), "f4", k) for k, name in enumerate("ABC")})
    w, b = numbers((3,), "f4", 1), numbers((3,), "f4", 2)
    for name in ("ElementwiseLinear", "AffineChannel"):
        check_rebatching(name, lambda batch: {"X": numbers((batch, 3), "f4"), "W": w, "B": b})


def test_folds():
    xs = [numbers((2, 3), "f4", k) for k in range(3)]
    feeds = dict(zip("ABC", xs))
    np.testing.assert_array_equal(run("Sum", feeds), xs[0] + xs[1] + xs[2])
    np.testing.assert_array_equal(run("SumRelu", feeds), np.maximum(xs[0] + xs[1] + xs[2], 0))
    np.testing.assert_array_equal(run("Mean", feeds), (xs[0] + xs[1] + xs[2]) * (np.float32(1) / np.float32(3)))
    np.testing.assert_array_equal(run("Max", feeds), np.max(xs, axis=0))
    np.testing.assert_array_equal(run("Min", feeds), np.min(xs, axis=0))
    np.testing.assert_array_equal(run("Max", feeds, ("A",)), np.max(xs, axis=0))
    with pytest.raises(ShapeError, match=r'"B" .*the shape of input 0, \(2, 3\)'):
        run("Max", {"A": xs[0], "B": np.zeros((3, 2), np.float32)})
    with pytest.raises(DTypeError):
        run("Max", {"A": np.int32([1])})


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 1, 5), (0, 3, 2)])
def test_channels(order, shape):
    x = numbers(shape, "f4") / 2
    axis = 1 if order == "NCHW" else len(shape) - 1
    over = [1] * len(shape)
    over[axis] = shape[axis]
    w, b = numbers((shape[axis],), "f4", 1), numbers((shape[axis],), "f4", 2)
    wide, high = w.reshape(over), b.reshape(over)
    np.testing.assert_array_equal(run("PRelu", {"X": x, "W": w}, order=order), np.where(x > 0, x, x * wide))
    np.testing.assert_array_equal(run("PRelu", {"X": x, "W": w[:1]}, order=order), np.where(x > 0, x, x * w[0]))
    np.testing.assert_array_equal(run("AffineChannel", {"X": x, "W": w, "B": b}, order=order), x * wide + high)
    for name, feeds in (("PRelu", {"X": x, "W": w[1:]}), ("AffineChannel", {"X": x, "W": w, "B": b[1:]})):
        if w.size > 2:
            with pytest.raises(ShapeError, match="one value for each of the"):
                run(name, feeds, order=order)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_elementwise_linear(axis):
    x = numbers((2, 3, 4), "f4")
    columns = int(np.prod(x.shape[axis:]))
    w, b = numbers((columns,), "f4", 1), numbers((columns,), "f4", 2)
    want = (x.reshape(-1, columns) * w + b).reshape(x.shape)
    np.testing.assert_array_equal(run("ElementwiseLinear", {"X": x, "W": w, "B": b}, axis=axis), want)
    with pytest.raises(ShapeError, match=f"each of the {columns} columns"):
        run("ElementwiseLinear", {"X": x, "W": w, "B": b[1:]}, axis=axis)


def test_row_mul_and_pow():
    x, w = np.abs(numbers((4, 2, 3), "f4")), numbers((4,), "f4", 1)
    np.testing.assert_array_equal(run("RowMul", {"X": x, "W": w}), x * w[:, None, None])
    with pytest.raises(ShapeError, match="one value for each row"):
        run("RowMul", {"X": x, "W": w[1:]})
    y = run("Pow", {"X": x, "E": np.float32([2, 1, 3])}, broadcast=1)
    np.testing.assert_allclose(y, x ** np.float32([2, 1, 3]), rtol=1e-6)
    with pytest.raises(ShapeError, match="or broadcast=1"):
        run("Pow", {"X": x, "E": np.float32([2, 1, 3])})
