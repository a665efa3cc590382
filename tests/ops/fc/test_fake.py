"""FCs of floats that are cut to fewer bits."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import DTypeError
from serverquant.blobs.store import Int8
from serverquant.ops.fc.fake import BITS, HALF, cut
from serverquant.runtime.workspace import Workspace


@pytest.mark.parametrize(("engine", "kept"), [("FAKE_BFP_14", 5), ("FAKE_BFP_16", 7), ("FAKE_BFP_24", 15)])
def test_mantissas_are_cut_off(engine, kept):
    last = np.float32(2.0**-kept)
    x = np.float32([1, 1 + last, 1 + last * 0.99, -(1 + last * 1.99), 0, -0.0, np.inf])
    got = cut(x, engine)
    np.testing.assert_array_equal(got, np.float32([1, 1 + last, 1, -(1 + last), 0, -0.0, np.inf]))
    assert np.signbit(got[5])


def test_rounding_goes_half_away_from_zero():
    last = np.float32(2.0**-7)
    x = np.float32([1 + last * 0.5, 1 + last * 0.49, -(1 + last * 0.5)])
    np.testing.assert_array_equal(cut(x, "FAKE_BFP_16_ROUND"), [1 + last, 1, -(1 + last)])


def test_half_precision_has_its_limits():
    x = np.float32([65519, 65520, 2049, 2051, 1e-8])
    np.testing.assert_array_equal(cut(x, HALF), np.float32([65504, np.inf, 2048, 2052, 0]))


@pytest.mark.parametrize("engine", [*BITS, HALF])
def test_fc_is_the_float_one_of_what_is_left(engine):
    rng = np.random.default_rng(3)
    x, w, b = (rng.standard_normal(dims).astype(np.float32) for dims in ((4, 9), (5, 9), (5,)))
    small = {name: cut(array, engine) for name, array in (("X", x), ("W", w), ("b", b))}
    got = run("FC", {"X": x, "W": w, "b": b}, engine=engine)
    np.testing.assert_array_equal(got, run("FC", small))
    assert not np.array_equal(got, run("FC", {"X": x, "W": w, "b": b}))


def test_new_weights_are_cut_anew():
    space, w = Workspace(), np.ones((1, 1), np.float32)
    net = bind(space, "FC", {"X": w, "W": w, "b": np.zeros(1, np.float32)}, engine="FAKE_BFP_16")
    net.run()
    feed(space, "W", w * 3)
    net.run()
    np.testing.assert_array_equal(space.fetch("Y"), [[3]])


def test_refuses_int8():
    x = Int8(np.zeros((1, 1), np.uint8), 1.0, 0)
    with pytest.raises(DTypeError, match="float tensor"):
        run("FC", {"X": x, "W": np.ones((1, 1), np.float32), "b": np.ones(1, np.float32)}, engine="FAKE_FP16")
