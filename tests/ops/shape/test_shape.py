"""Reshape and its kin, copies, transposes."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, check_rebatching, run

from serverquant._base.errors import ArgumentError, DTypeError, NetError, ShapeError
from serverquant.runtime.workspace import Workspace


def numbers(*dims: int, dtype=np.float32) -> np.ndarray:
    return np.arange(np.prod(dims, dtype=int)).reshape(dims).astype(dtype)


@pytest.mark.parametrize(
    ("op", "dims", "args"),
    [
        ("Reshape", (4, 6), {"shape": [0, 2, 3]}),
        ("Reshape", (4, 6), {"shape": [-1, 2]}),
        ("Reshape", (4, 6), {"shape": [1, -1, 6]}),
        ("Flatten", (4, 2, 3), {}),
        ("Flatten", (4, 2, 3), {"axis": 2}),
        ("Flatten", (4, 2, 3), {"axis": 0}),
        ("FlattenToVec", (4, 2), {}),
        ("ExpandDims", (4, 2), {"dims": [1, 3]}),
        ("ExpandDims", (4, 2), {"dims": [0, 1, 3]}),
        ("Squeeze", (4, 1, 2, 1), {"dims": [1, 3]}),
        ("MergeDim", (4, 2, 3), {}),
        ("Transpose", (4, 2, 3), {"axes": [0, 2, 1]}),
        ("NCHW2NHWC", (4, 2, 3), {}),
        ("NHWC2NCHW", (4, 2, 3, 2), {}),
        ("Copy", (4, 2), {}),
        ("StopGradient", (4, 2), {}),
    ],
)
def test_new_batches_need_no_plan(op, dims, args):
    outputs = ("Y", "old") if op == "Reshape" else ("Y",)
    check_rebatching(op, lambda n: {"X": numbers(n, *dims[1:])}, (4, 7, 1), outputs, **args)


def test_prepend_dim_takes_other_batches():
    check_rebatching("PrependDim", lambda n: {"X": numbers(n, 2)}, (4, 8, 2), dim_size=2)


def test_resize_like_takes_other_batches():
    check_rebatching("ResizeLike", lambda n: {"X": numbers(n, 6), "L": numbers(n, 2, 3)})


@pytest.mark.parametrize(
    ("dims", "shape", "want"), [((2, 0), [0], (0,)), ((0, 3), [-1, 4], (0, 4)), ((2, 0), [5, 0, 1], (5, 0, 1))]
)
def test_reshape_without_elements(dims, shape, want):
    y, old = run("Reshape", {"X": np.zeros(dims, np.float32)}, ("Y", "old"), shape=shape)
    assert y.shape == want
    assert tuple(old) == dims


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_old_shape_has_the_type_of_the_second_input(dtype):
    y, old = run("Reshape", {"X": numbers(2, 6), "S": np.array([3, -1], dtype)}, ("Y", "old"))
    assert y.shape == (3, 4)
    assert old.dtype == dtype
    assert old.tolist() == [2, 6]


def test_reshape_in_place_keeps_the_batch():
    space = Workspace()
    net = bind(space, "Reshape", {"X": numbers(2, 6)}, ("X", "old"), shape=[0, 2, 3])
    for n in (2, 5):
        space.create("X").feed(numbers(n, 6))
        net.run()
        assert space.fetch("X").shape == (n, 2, 3)
        assert space.fetch("old").tolist() == [n, 6]


@pytest.mark.parametrize(
    ("op", "args", "want"),
    [
        ("Reshape", {"shape": [4, 1]}, [[b"a"], [b"b"], [b""], [b"d"]]),
        ("ExpandDims", {"dims": [0]}, [[[b"a", b"b"], [b"", b"d"]]]),
        ("Transpose", {}, [[b"a", b""], [b"b", b"d"]]),
        ("Copy", {}, [[b"a", b"b"], [b"", b"d"]]),
    ],
)
def test_strings_move_too(op, args, want):
    outputs = ("Y", "old") if op == "Reshape" else ("Y",)
    got = run(op, {"X": np.array([["a", "b"], ["", "d"]], object)}, outputs, **args)
    assert (got[0] if op == "Reshape" else got).tolist() == want


def test_size_and_shape():
    x = numbers(2, 0, 3)
    assert run("Size", {"X": x}) == 0
    assert run("Size", {"X": x}).shape == ()
    assert run("Shape", {"X": x}).tolist() == [2, 0, 3]
    assert run("Shape", {"X": x}, axes=[2, 0, 2]).tolist() == [3, 2, 3]


@pytest.mark.parametrize(
    ("op", "dims", "args", "error", "words"),
    [
        ("Reshape", (2, 3), {"shape": [4, -1]}, ShapeError, "6 elements"),
        ("Reshape", (2, 3), {"shape": [-1, -1]}, ShapeError, "more than one -1"),
        ("Reshape", (2, 3), {"shape": [-2, -3]}, ShapeError, "negative"),
        ("Reshape", (6,), {"shape": [0, 0]}, ShapeError, "keeps dim 1"),
        ("Reshape", (0, 3), {"shape": [2]}, ShapeError, "has 0"),
        ("Reshape", (2, 3), {}, ArgumentError, "shape"),
        ("Flatten", (2, 3), {"axis": 3}, ArgumentError, "axis is 3"),
        ("Flatten", (2, 3), {"axis": -1}, ArgumentError, "axis is -1"),
        ("FlattenToVec", (), {}, ShapeError, "at least one"),
        ("ExpandDims", (2,), {"dims": [3]}, ShapeError, "no place"),
        ("ExpandDims", (2,), {"dims": [-1]}, ArgumentError, "negative"),
        ("ExpandDims", (2,), {}, ArgumentError, "dims"),
        ("Squeeze", (2, 1), {"dims": [0]}, ShapeError, "1 as dim 0"),
        ("Squeeze", (2, 1), {"dims": [2]}, ShapeError, "at least 3"),
        ("PrependDim", (3, 1), {"dim_size": 2}, ShapeError, "multiple"),
        ("PrependDim", (3, 1), {}, ArgumentError, "dim_size is 0"),
        ("MergeDim", (3,), {}, ShapeError, "at least 2"),
        ("Shape", (3,), {"axes": [1]}, ArgumentError, "axes has 1"),
        ("Transpose", (2, 3), {"axes": [0, 2]}, ShapeError, "permutation"),
        ("Transpose", (2, 3), {"axes": [1, 0, 2]}, ShapeError, "permutation"),
        ("EnsureDense", (), {}, ShapeError, "at least one"),
    ],
)
def test_refused(op, dims, args, error, words):
    outputs = ("Y", "old") if op == "Reshape" else ("Y",)
    with pytest.raises(error, match=words):
        run(op, {"X": numbers(*dims)}, outputs, **args)


def test_reshape_by_two_shapes_is_refused():
    with pytest.raises(ArgumentError, match="together"):
        run("Reshape", {"X": numbers(2), "S": np.array([2])}, ("Y", "old"), shape=[2])
    with pytest.raises(DTypeError, match="int32"):
        run("Reshape", {"X": numbers(2), "S": np.array([2.0], np.float32)}, ("Y", "old"))
    with pytest.raises(ShapeError, match="1-D"):
        run("Reshape", {"X": numbers(2), "S": np.array([[2]])}, ("Y", "old"))


def test_flatten_does_not_work_in_place():
    with pytest.raises(NetError, match="in place"):
        run("Flatten", {"X": numbers(2, 3)}, ("X",))
