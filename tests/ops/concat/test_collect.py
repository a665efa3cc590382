"""Append, Accumulate, UnsafeCoalesce."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run

from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.runtime.workspace import Workspace


def test_append():
    a, b = np.float32([[1, 2]]), np.float32([[3, 4], [5, 6]])
    np.testing.assert_array_equal(run("Append", {"A": a, "B": b}, ("A",)), np.concatenate([a, b]))
    np.testing.assert_array_equal(run("Append", {"A": np.zeros(0, np.int64), "B": b}, ("A",)), b)
    with pytest.raises(ArgumentError, match="in place"):
        run("Append", {"A": a, "B": b})
    with pytest.raises(ShapeError, match="slices like"):
        run("Append", {"A": a, "B": b[:, :1]}, ("A",))
    with pytest.raises(DTypeError, match="float"):
        run("Append", {"A": a, "B": b.astype(int)}, ("A",))


def test_accumulate_goes_on_from_run_to_run():
    space = Workspace()
    net = bind(space, "Accumulate", {"X": np.float32([1, 2])}, gamma=0.5)
    for want in ([1, 2], [1.5, 3], [1.75, 3.5]):
        net.run()
        assert space.fetch("Y").tolist() == want
    space.create("X").feed(np.float32([4]))
    net.run()
    assert space.fetch("Y").tolist() == [4]


def test_coalesce():
    x, z = np.float32([[1, 2]]), np.float32([3])
    first, second, whole = run("UnsafeCoalesce", {"X": x, "Z": z}, ("A", "B", "C"))
    np.testing.assert_array_equal(first, x)
    np.testing.assert_array_equal(second, z)
    assert whole.tolist() == [1, 2, 3]
    with pytest.raises(ArgumentError, match="need 3 outputs"):
        run("UnsafeCoalesce", {"X": x, "Z": z}, ("A", "B"))
