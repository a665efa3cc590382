"""GroupNorm on Int8 tensors."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant._base.errors import ArgumentError, QuantizationError, ShapeError
from serverquant.blobs.store import Int8
from serverquant.ops.norm.group_dnnlowp import fixed_point, round_half_away

rng = np.random.default_rng(11)


def tensor(*dims, scale=0.04, zero_point=120):
    return Int8(rng.integers(0, 256, dims).astype(np.uint8), np.float32(scale), zero_point)


def normalised(x: np.ndarray, group: int, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """In double precision, NCHW."""
    parts = x.astype(np.float64).reshape(x.shape[0], group, -1)
    normal = (parts - parts.mean(-1, keepdims=True)) / np.sqrt(parts.var(-1, keepdims=True) + 1e-5)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return normal.reshape(x.shape) * gamma.reshape(shape) + beta.reshape(shape)


@pytest.mark.parametrize("op_type", ["GroupNorm", "Int8GroupNorm"])
@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dims", [(2, 8, 3, 5), (1, 8, 4), (3, 8, 2, 2, 3)])
def test_is_near_the_true_value(op_type, order, dims):
    x, gamma, beta = tensor(*dims), rng.uniform(0.5, 2, 8).astype(np.float32), rng.standard_normal(8).astype(np.float32)
    want = normalised(0.04 * (x.data.astype(int) - 120), 4, gamma, beta)
    if order == "NHWC":
        x = x._replace(data=np.ascontiguousarray(np.moveaxis(x.data, 1, -1)))
        want = np.moveaxis(want, 1, -1)
    args = {"group": 4, "order": order, "engine": "DNNLOWP"}
    got = run(op_type, {"X": x, "g": gamma, "b": beta}, **args, Y_scale=0.05, Y_zero_point=128)
    assert np.abs(0.05 * (got.data.astype(int) - 128) - np.clip(want, -6.4, 6.35)).max() < 0.1
    chosen = run(op_type, {"X": x, "g": gamma, "b": beta}, **args)
    assert abs(chosen.scale - (want.max() - want.min()) / 255) < 1e-4
    floats = run(op_type, {"X": x, "g": gamma, "b": beta}, **args, dequantize_output=1)
    np.testing.assert_allclose(floats, want, rtol=1e-4, atol=1e-4)


def test_int8_gamma_and_beta():
    x, gamma = tensor(1, 2, 4, 4), Int8(np.uint8([200, 90]), np.float32(0.01), 100)
    beta = Int8(np.int32([300, -500]), np.float32(0.04) * np.float32(0.01), 0)
    got = run("GroupNorm", {"X": x, "g": gamma, "b": beta}, engine="DNNLOWP", group=1, Y_scale=0.02, Y_zero_point=128)
    want = normalised(0.04 * (x.data.astype(int) - 120), 1, np.array([1, -0.1]), np.array([300, -500]) * 0.0004)
    assert np.abs(0.02 * (got.data.astype(int) - 128) - want).max() < 0.05


def test_empty():
    x, ones = tensor(0, 4, 2, 2), np.ones(4, np.float32)
    got = run("GroupNorm", {"X": x, "g": ones, "b": ones}, engine="DNNLOWP", group=2)
    assert (got.data.shape, got.scale, got.zero_point) == ((0, 4, 2, 2), 1.0, 0)


def test_fixed_point_rounds_halves_up():
    np.testing.assert_array_equal(fixed_point(np.array([3, -3, 5, 1 << 30]), np.float32(0.5), 32), [2, -1, 3, 1 << 29])
    np.testing.assert_array_equal(fixed_point(np.array([3, -3]), np.float32(2.0**40), 32), [3 << 40, -3 << 40])
    assert fixed_point(np.array([1 << 30]), np.float32(1e-30), 32)[0] == 0
    assert fixed_point(np.array([1 << 20]), np.float32(0.5), 16)[0] == 1 << 3  # as Caffe2: 2^16 too small


def test_halves_away_from_zero():
    np.testing.assert_array_equal(round_half_away(np.float32([0.5, -0.5, 1.49, -2.5])), [1, -1, 1, -3])


def test_refused():
    x, ones = tensor(1, 4, 2, 2), np.ones(4, np.float32)
    with pytest.raises(ArgumentError, match="Y alone"):
        run("GroupNorm", {"X": x, "g": ones, "b": ones}, ["Y", "m", "s"], engine="DNNLOWP", group=2)
    with pytest.raises(ShapeError, match="3 groups"):
        run("GroupNorm", {"X": x, "g": ones, "b": ones}, engine="DNNLOWP", group=3)
    with pytest.raises(ArgumentError, match="2 to 32"):
        run("GroupNorm", {"X": x, "g": ones, "b": ones}, engine="DNNLOWP", group=2,
            requantization_multiplier_precision=33)  # fmt: skip


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_numbers_without_bounds_are_refused(worst):
    x, ones = tensor(1, 4, 2, 2), np.ones(4, np.float32)
    with pytest.raises(QuantizationError, match="multiplier"):
        run("GroupNorm", {"X": x, "g": ones * np.float32(worst), "b": ones}, engine="DNNLOWP", group=2, Y_scale=1.0)
