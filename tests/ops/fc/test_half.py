"""Fully connected layers with turned weights, and with weights of half precision."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import OperatorError, ShapeError
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(4)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_turned_weights():
    x, w, b = floats(3, 2, 5), floats(10, 7), floats(7)
    expected = run("FC", {"X": x, "W": np.ascontiguousarray(w.T), "b": b})
    assert run("FCTransposed", {"X": x, "W": w, "b": b}).tobytes() == expected.tobytes()
    with pytest.raises(ShapeError, match="inner sizes must match"):
        run("FCTransposed", {"X": x, "W": floats(7, 10), "b": b})


def packed_run(x, w, b, pack="FbGemmPack", **args):
    space = Workspace()
    bind(space, pack, {"W": w}, ("WP",), **args).run()
    net = bind(space, "FbFCPacked", {"X": x, "WP": space.get("WP").value, "b": b})
    net.run()
    return space.fetch("Y")


@pytest.mark.parametrize("pack", ["FbGemmPack", "FbGemmPackTranspose"])
def test_half_precision(pack):
    x, w, b = floats(4, 6), floats(9, 6), floats(9)
    rounded = w.astype(np.float16).astype(np.float32)
    expected = run("FC", {"X": x, "W": rounded, "b": b})
    assert expected.tobytes() != run("FC", {"X": x, "W": w, "b": b}).tobytes()
    given = w if pack == "FbGemmPack" else np.ascontiguousarray(w.T)
    assert packed_run(x, given, b, pack).tobytes() == expected.tobytes()


def test_values_beyond_half_precision():
    """As Caffe2: the ends of the range, and NaN as the lowest value."""
    w = np.float32([[1e5], [-np.inf], [65520], [1e-8], [3e-8], [2049], [np.nan]])
    y = packed_run(np.ones((1, 1), np.float32), w, np.zeros(7, np.float32))
    assert y[0].tolist() == [65504, -65504, 65504, 0, 2.0**-24, 2048, -65504]


def test_packed_weights_have_dims():
    w = floats(9, 2, 3)
    assert packed_run(floats(4, 6), w, floats(9)).shape == (4, 9)
    with pytest.raises(ShapeError, match="inner sizes must match"):
        packed_run(floats(4, 5), w, floats(9))


def test_other_objects_are_refused():
    space = Workspace()
    feed(space, "W", floats(3, 4))
    bind(space, "Int8FCPackWeight", {"W": floats(3, 4)}, ("WP",), engine="DNNLOWP").run()
    net = bind(space, "FbFCPacked", {"X": floats(2, 4), "WP": space.get("WP").value, "b": floats(3)})
    with pytest.raises(OperatorError, match="no weights packed by FbGemmPack"):
        net.run()
