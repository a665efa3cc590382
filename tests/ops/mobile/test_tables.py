"""Tables of the mobile set, and the softmax: changing parameters, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError, ServerquantError
from serverquant.blobs.store import Int8
from serverquant.runtime.workspace import Workspace

ALL = np.arange(256, dtype=np.uint8).reshape(2, 128)
UNIT = np.float32(1 / 256)


def leaky(data, zero_point, alpha):
    x = data.astype(np.int64) - zero_point
    return np.where(x < 0, np.rint(x.astype(np.float32) * np.float32(alpha)), x).astype(np.int64) + zero_point


def test_leaky_relu_follows_the_zero_point():
    space = Workspace()
    net = bind(space, "Int8LeakyRelu", {"X": Int8(ALL, np.float32(0.1), 100)}, alpha=0.3)
    for zero_point in (100, 0, 255):
        feed(space, "X", Int8(ALL, np.float32(0.1), zero_point))
        net.run()
        got = space.fetch("Y")
        np.testing.assert_array_equal(got.data, leaky(ALL, zero_point, 0.3))
        assert (got.scale, got.zero_point) == (np.float32(0.1), zero_point)


def test_sigmoid_follows_scale_and_zero_point():
    space = Workspace()
    net = bind(space, "Int8Sigmoid", {"X": Int8(ALL, np.float32(0.1), 100)})
    for scale, zero_point in ((0.1, 100), (0.02, 100), (3.0, 0)):
        feed(space, "X", Int8(ALL, np.float32(scale), zero_point))
        net.run()
        got = space.fetch("Y")
        exact = 256 / (1 + np.exp(-np.float64(np.float32(scale)) * (ALL.astype(int) - zero_point)))
        assert np.abs(got.data - np.minimum(exact, 255)).max() <= 0.50001
        assert (got.scale, got.zero_point) == (UNIT, 0)


def test_softmax_follows_the_scale():
    space = Workspace()
    net = bind(space, "Int8Softmax", {"X": Int8(ALL, np.float32(0.1), 7)})
    for scale in (0.1, 0.01):
        feed(space, "X", Int8(ALL, np.float32(scale), 7))
        net.run()
        e = np.exp((ALL.astype(float) - ALL.max(axis=1, keepdims=True)) * scale)
        want = np.minimum(256 * e / e.sum(axis=1, keepdims=True), 255)
        assert np.abs(space.fetch("Y").data - want).max() <= 0.51


@pytest.mark.parametrize(
    ("op_type", "x", "args", "error", "words"),
    [
        ("Int8LeakyRelu", Int8(ALL, np.float32(0.1), 3), {"alpha": 1.5}, ArgumentError, "alpha is 1.5"),
        ("Int8LeakyRelu", Int8(ALL, np.float32(0.1), 3), {"Y_scale": 0.2}, ServerquantError, "must be equal"),
        ("Int8LeakyRelu", Int8(ALL, np.float32(0.1), 3), {"Y_zero_point": 4}, ServerquantError, "must be equal"),
        ("Int8Sigmoid", Int8(ALL, np.float32(0.1), 3), {"Y_scale": 0.5}, QuantizationError, "1/256"),
        ("Int8Sigmoid", Int8(ALL, np.float32(0.1), 3), {"Y_zero_point": 1}, QuantizationError, "gives 0 only"),
        ("Int8Sigmoid", ALL.astype(np.float32), {}, DTypeError, "an Int8 tensor"),
        ("Int8Softmax", Int8(ALL[:0], np.float32(0.1), 3), {}, ServerquantError, "batch of 0"),
        ("Int8Softmax", Int8(ALL.astype(np.int32), np.float32(0.1), 0), {}, DTypeError, "uint8"),
    ],
)
def test_refused(op_type, x, args, error, words):
    with pytest.raises(error, match=words) as caught:
        run(op_type, {"X": x}, **args)
    assert f"{op_type} (op 0" in str(caught.value)
