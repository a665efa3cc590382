"""ByteWeightDequant."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant._base.errors import DTypeError, ShapeError


def test_bytes_as_floats():
    octets = np.uint8([0, 128, 255])
    want = octets.astype(np.float32) * np.float32(6 / 255) - 3
    np.testing.assert_array_equal(run("ByteWeightDequant", {"X": octets}, shape=[3]), want)
    text = np.array([octets.tobytes()], object)
    y = run("ByteWeightDequant", {"X": text}, shape=[3, 1], min=0.0, max=255.0)
    assert y.tolist() == [[0], [128], [255]]


def test_refused():
    with pytest.raises(ShapeError, match="too few"):
        run("ByteWeightDequant", {"X": np.uint8([1])}, shape=[2])
    with pytest.raises(ShapeError, match="at least 1"):
        run("ByteWeightDequant", {"X": np.uint8([1])}, shape=[0])
    with pytest.raises(DTypeError, match="uint8"):
        run("ByteWeightDequant", {"X": np.float32([1])}, shape=[1])
