"""The mobile transposed convolution against plain whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, feed, run
from reference import gemm

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError
from serverquant.blobs.store import Int8
from serverquant.kernels.gemm._gemm import q31_split
from serverquant.kernels.quantize import _quantize
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(8)
SX, SW, SY = np.float32(0.05), np.float32(0.01), np.float32(0.2)
ARGS = {"order": "NHWC", "Y_scale": float(SY), "Y_zero_point": 40}


def bytes_of(shape, scale, zero_point):
    return Int8(RNG.integers(0, 256, shape).astype(np.uint8), scale, zero_point)


def sums(x, w, bias, stride, pad, adj):
    n, h, width, _ = x.data.shape
    kernel, outputs = w.data.shape[1], w.data.shape[3]
    size = [(s - 1) * stride + kernel + adj for s in (h, width)]
    full = np.zeros((n, *size, outputs), np.int64) + bias
    values = x.data.astype(np.int64) - x.zero_point
    taps = w.data.astype(np.int64) - w.zero_point
    for i, j in np.ndindex(h, width):
        part = np.einsum("nc,cklo->nklo", values[:, i, j], taps)
        full[:, i * stride : i * stride + kernel, j * stride : j * stride + kernel] += part
    return full[:, pad : size[0] - pad, pad : size[1] - pad]


@pytest.mark.parametrize("isa", _isa.supported())
@pytest.mark.parametrize(("stride", "pad", "adj"), [(1, 0, 0), (2, 1, 1), (3, 0, 2)])
def test_values(isa, stride, pad, adj):
    before = _isa.set_level(isa)
    x, w = bytes_of((2, 3, 5, 9), SX, 130), bytes_of((9, 3, 3, 17), SW, 121)
    bias = Int8(RNG.integers(-3000, 3000, 17).astype(np.int32), SX * SW, 0)
    geometry = {"kernel": 3, "stride": stride, "pads": [pad] * 4, "adj": adj}
    got = run("Int8ConvTranspose", {"X": x, "W": w, "B": bias}, **ARGS, **geometry)
    _isa.set_level(before)
    exact = sums(x, w, bias.data, stride, pad, adj)
    want = gemm.requant_q31(exact.astype(np.int32), SX * SW / SY, 40)
    np.testing.assert_array_equal(got.data, want)
    assert (got.scale, got.zero_point) == (SY, 40)


def test_new_weights_and_batch():
    space = Workspace()
    x, bias = bytes_of((1, 4, 4, 3), SX, 0), Int8(np.zeros(2, np.int32), SX * SW, 0)
    net = bind(space, "Int8ConvTranspose", {"X": x, "W": bytes_of((3, 2, 2, 2), SW, 128), "B": bias}, kernel=2, **ARGS)
    for batch in (1, 3, 0):
        x, w = bytes_of((batch, 4, 4, 3), SX, 7), bytes_of((3, 2, 2, 2), SW, 100)
        feed(space, "X", x)
        feed(space, "W", w)
        net.run()
        want = gemm.requant_q31(sums(x, w, bias.data, 1, 0, 0).astype(np.int32), SX * SW / SY, 40)
        np.testing.assert_array_equal(space.fetch("Y").data, want)


def test_refused():
    feeds = {
        "X": bytes_of((1, 4, 4, 4), SX, 0),
        "W": bytes_of((4, 2, 2, 2), SW, 128),
        "B": Int8(np.zeros(2, np.int32), SX * SW, 0),
    }
    with pytest.raises(ArgumentError, match="group is 2"):
        run("Int8ConvTranspose", feeds, kernel=2, group=2, **ARGS)
    with pytest.raises(DTypeError, match="Int8 tensor"):
        run("Int8ConvTranspose", {**feeds, "B": np.zeros(2, np.float32)}, kernel=2, **ARGS)
    with pytest.raises(ServerquantError, match="zero point 3; it must be 0"):
        run("Int8ConvTranspose", {**feeds, "B": Int8(np.zeros(2, np.int32), SX * SW, 3)}, kernel=2, **ARGS)
    with pytest.raises(ServerquantError, match="ratio of scales"):
        run("Int8ConvTranspose", feeds, kernel=2, order="NHWC", Y_scale=1e-6)
    with pytest.raises(ServerquantError, match="NHWC"):
        run("Int8ConvTranspose", feeds, kernel=2, order="NCHW", Y_scale=1.0)


@pytest.mark.parametrize("isa", _isa.supported())
@pytest.mark.parametrize("n", [0, 1, 31, 33, 1000])
def test_q31(isa, n):
    before = _isa.set_level(isa)
    x = RNG.integers(-(2**31), 2**31, n).astype(np.int32)
    y = np.empty(n, np.uint8)
    for ratio in (0.9, 0.003, 2.0**-20):
        _quantize.py_requantize_q31_u8(x, y, *q31_split(ratio), 17, 17, 250)
        np.testing.assert_array_equal(y, gemm.requant_q31(x, np.float32(ratio), 17, 17, 250))
    _isa.set_level(before)
