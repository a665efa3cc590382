"""Masks of slices and of attention."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant import core
from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.proto.wire import read_net
from serverquant.runtime.workspace import Workspace

INF = float("inf")


def numbers(*dims: int) -> np.ndarray:
    return np.arange(np.prod(dims, dtype=int)).reshape(dims).astype(np.float32)


def test_boolean_mask():
    x, mask = numbers(4, 2), np.array([True, False, False, True])
    y, places = run("BooleanMask", {"X": x, "M": mask}, ("Y", "P"))
    np.testing.assert_array_equal(y, x[mask])
    assert places.tolist() == [0, 3]
    assert run("BooleanMask", {"X": np.array(list("abcd"), object), "M": mask}).tolist() == [b"a", b"d"]
    assert run("BooleanMaskLengths", {"L": np.int32([1, 0, 3]), "M": mask}).tolist() == [1, 0, 1]


def test_unmask_takes_the_first_mask():
    first, second = np.array([True, False, True]), np.array([True, True, False])
    y = run("BooleanUnmask", {"M": first, "V": np.float32([1, 2]), "M2": second, "V2": np.float32([3])})
    assert y.tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    ("mode", "gone"),
    [
        ("upper", lambda i, j: j > i),
        ("lower", lambda i, j: j < i),
        ("upperdiag", lambda i, j: j >= i),
        ("lowerdiag", lambda i, j: j <= i),
    ],
)
def test_triangles(mode, gone):
    x = numbers(3, 4)
    row, column = np.indices(x.shape)
    np.testing.assert_array_equal(run("SequenceMask", {"X": x}, mode=mode), np.where(gone(row, column), -INF, x))
    cubes = numbers(2, 3, 4)
    y = run("SequenceMask", {"X": cubes}, mode=mode, axis=2, batch=0, fill_val=-1.0)
    np.testing.assert_array_equal(y, np.where(gone(row, column), -1, cubes))


def test_sequences_and_windows():
    x, lengths = numbers(3, 4), np.int32([1, 4, 0])
    column = np.arange(4)
    y = run("SequenceMask", {"X": x, "L": lengths}, mode="sequence")
    np.testing.assert_array_equal(y, np.where(column >= lengths[:, None], -INF, x))
    y = run("SequenceMask", {"X": x, "L": lengths}, mode="window", radius=1, grad=1)
    np.testing.assert_array_equal(y, np.where(abs(column - lengths[:, None]) > 1, 0, x))
    deep = numbers(3, 4, 2)
    y = run("SequenceMask", {"X": deep, "L": lengths}, mode="sequence", repeat_from_axis=2)
    np.testing.assert_array_equal(y, np.where((column >= lengths[:, None])[:, :, None], -INF, deep))


def test_elements():
    empty, full = np.zeros((0, 3), np.float32), numbers(2)
    assert run("IsEmpty", {"X": empty})
    assert not run("IsEmpty", {"X": full})
    assert run("HasElements", {"X": empty, "Z": full})
    assert not run("HasElements", {"X": empty})


@pytest.mark.parametrize(
    ("op", "feeds", "args", "error", "words"),
    [
        ("BooleanMask", {"X": numbers(3), "M": np.array([True])}, {}, ShapeError, "1 elements"),
        ("BooleanMaskLengths", {"L": np.int32([2]), "M": np.array([True])}, {}, ShapeError, "add up to 2"),
        (
            "BooleanUnmask",
            {"M": np.array([True, False]), "V": numbers(1)},
            {},
            ShapeError,
            "no mask is true at position 1",
        ),
        ("BooleanUnmask", {"M": np.array([True]), "V": numbers(2)}, {}, ShapeError, "takes 1 places"),
        ("SequenceMask", {"X": numbers(2, 2)}, {"mode": "left"}, ArgumentError, '"left"'),
        ("SequenceMask", {"X": numbers(2, 2)}, {"mode": "sequence"}, ArgumentError, "second input"),
        ("SequenceMask", {"X": numbers(2, 2)}, {"mode": "upper", "batch": 1}, ShapeError, "before axis"),
        (
            "SequenceMask",
            {"X": numbers(2, 2), "L": np.int32([1])},
            {"mode": "sequence"},
            ShapeError,
            "1 elements for 2",
        ),
    ],
)
def test_refused(op, feeds, args, error, words):
    with pytest.raises(error, match=words):
        run(op, feeds, **args)


def test_reshape_to_a_computed_shape():
    """The values come from an operator whose result only running tells."""
    space = Workspace()
    space.create("X").feed(numbers(4, 3))
    space.create("mask").feed(np.array([True, False, True, False]))
    space.create("all").feed(np.array([2, 9, 6, 9], np.int64))
    net = core.Net("n")
    net.AddExternalInput("X", "mask", "all")
    net.BooleanMask(["all", "mask"], ["S"])
    net.Reshape(["X", "S"], ["Y", "old"])
    net.Copy(["Y"], ["Z"])
    space.bind(read_net(net)).run()
    assert space.fetch("Z").shape == (2, 6)
    assert space.fetch("old").tolist() == [4, 3]
