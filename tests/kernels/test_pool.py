"""Pools: every row, order and data type against plain numpy, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from reference import window as reference

from serverquant._base import _isa, _threads
from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError, ShapeError
from serverquant.kernels._window import Window
from serverquant.kernels.pool import _pool as pool

# batch, channels, sizes, kernel, strides, pads
GEOMETRIES = {
    "2x2": (2, 5, (6, 8), (2, 2), (2, 2), None),
    "3x3": (1, 17, (7, 9), (3, 3), (1, 1), (1, 1, 1, 1)),
    "3x3_stride": (1, 70, (9, 35), (3, 3), (2, 2), (1, 0, 1, 2)),
    "wide": (1, 2, (5, 150), (3, 3), (1, 1), (0, 1, 0, 1)),
    "global": (2, 37, (7, 7), (7, 7), (1, 1), None),
    "few_outputs": (1, 18, (9, 7), (5, 4), (4, 3), (2, 1, 0, 2)),
    "stride_past_kernel": (1, 3, (20, 21), (2, 1), (5, 4), None),
    "kernel_past_image": (1, 4, (3, 2), (4, 4), (1, 2), (2, 3, 2, 3)),
    "small_planes": (3, 19, (8, 8), (3, 3), (1, 1), (1, 1, 1, 1)),
    "small_strided": (2, 3, (9, 11), (3, 2), (2, 2), (1, 1, 0, 1)),
    "flat_image": (2, 3, (1, 50), (3, 3), (1, 1), (1, 1, 1, 1)),
    "one_pixel": (2, 3, (1, 1), (3, 3), (2, 2), (1, 1, 1, 1)),
    "one_channel": (3, 1, (8, 8), (3, 3), (2, 2), None),
    "narrow": (2, 5, (30, 1), (3, 3), (2, 2), (1, 1, 1, 1)),
    "narrow_deep": (1, 3, (4, 9, 1), (2, 3, 2), (1, 2, 1), (0, 1, 1, 1, 1, 0)),
    "1d": (2, 9, (33,), (4,), (3,), (1, 2)),
    "3d": (1, 6, (4, 5, 6), (2, 3, 2), (1, 2, 2), (1, 1, 0, 0, 1, 1)),
    "banded": (1, 40, (45, 50), (3, 3), (2, 1), (1, 1, 1, 1)),
    "banded_direct": (1, 61, (39, 40), (2, 3), (1, 1), None),
    "banded_plane": (1, 1, (300, 310), (3, 2), (1, 1), (2, 0, 1, 1)),
    "banded_line": (1, 40, (1, 270), (3, 3), (1, 1), (1, 1, 1, 1)),
    "banded_line_strided": (2, 17, (700,), (4,), (3,), (1, 2)),
    "banded_line_direct": (1, 37, (300, 1), (3, 1), (1, 1), None),
    "many_channels": (1, 261, (4, 5), (3, 2), (2, 2), (1, 0, 1, 0)),
}  # fmt: skip


def geometry(name):
    """The window, (batch, channels), and what the references take after x."""
    batch, channels, sizes, kernel, strides, pads = GEOMETRIES[name]
    pads = pads or (0,) * (2 * len(sizes))
    window = Window(sizes, kernel, strides, pads)
    return window, (batch, channels), (kernel, strides, pads, window.out_sizes)


def operand(name, dtype):
    batch, channels, sizes, *_ = GEOMETRIES[name]
    rng = np.random.default_rng(len(name))
    shape = (batch, channels, *sizes)
    return rng.integers(0, 256, shape, np.uint8) if dtype == np.uint8 else rng.standard_normal(shape, dtype=np.float32)


def run(function, name, order, x, *args, isa=None, **kwargs):
    """Result in NCHW of a function of the module."""
    window, shape, _ = geometry(name)
    y = function(pool.Pool(window, *shape, order, isa), reference.from_nchw(x, order), *args, **kwargs)
    return np.ascontiguousarray(reference.to_nchw(y, order))


def check_all(name, x, function, want):
    """`function(order, isa)` gives `want[order]` on every instruction set of this machine."""
    for isa in _isa.supported():
        for order in ("NCHW", "NHWC"):
            np.testing.assert_array_equal(function(order, isa), want[order], err_msg=f"{name} {order} {isa}")


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_max(name, dtype):
    x = operand(name, dtype)
    want = reference.max_pool(x, *geometry(name)[2])
    check_all(name, x, lambda o, isa: run(pool.max_pool, name, o, x, isa=isa), dict.fromkeys(("NCHW", "NHWC"), want))
    if dtype == np.uint8:
        assert np.array_equal(run(pool.max_pool, name, "NHWC", x, low=200), np.maximum(want, 200))


@pytest.mark.parametrize("include_pad", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_average_float(name, include_pad):
    x = operand(name, np.float32)
    want = reference.average_pool(x, *geometry(name)[2], include_pad)
    check_all(
        name,
        x,
        lambda o, isa: run(pool.average_pool, name, o, x, include_pad, isa=isa),
        dict.fromkeys(("NCHW", "NHWC"), want),
    )


@pytest.mark.parametrize(("x_zero", "ratio", "y_zero"), [(0, 1.0, 0), (131, 0.7, 40), (255, 1.5, 128), (7, 30.0, 255)])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_average_server(name, x_zero, ratio, y_zero):
    x, ratio = operand(name, np.uint8), np.float32(ratio)
    args = x_zero, ratio, y_zero
    want = {o: reference.average_pool_server(x, *geometry(name)[2], *args, o == "NHWC") for o in ("NCHW", "NHWC")}
    check_all(name, x, lambda o, isa: run(pool.average_pool, name, o, x, False, *args, isa=isa), want)


def test_average_server_rounds_ties_by_order():
    """Values where one and two roundings differ: found by search, so that the orders cannot be confused."""
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (1, 4000, 2, 2), np.uint8)
    window, differ = Window((2, 2), (2, 2)), 0
    for i in range(60):
        ratio = np.float32(4 * (i + 0.5) / (3 * i + 7))  # so that a sum of 3 i + 7 is a tie, nearly
        want = {
            o: reference.average_pool_server(x, (2, 2), (1, 1), (0,) * 4, (1, 1), 99, ratio, 77, o == "NHWC")
            for o in ("NCHW", "NHWC")
        }
        differ += int((want["NCHW"] != want["NHWC"]).sum())
        for order in ("NCHW", "NHWC"):
            plan = pool.Pool(window, 1, 4000, order)
            got = pool.average_pool(plan, reference.from_nchw(x, order), False, 99, ratio, 77)
            assert np.array_equal(reference.to_nchw(got, order), want[order])
    assert differ


@pytest.mark.parametrize(("x_zero", "y_zero", "low"), [(0, 0, 0), (131, 40, 0), (255, 128, 128), (3, 255, 0)])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_average_mobile(name, x_zero, y_zero, low):
    x = operand(name, np.uint8)
    args = 0.037, x_zero, 0.021, y_zero, low
    want = reference.average_pool_mobile(x, *geometry(name)[2], *args)
    check_all(
        name,
        x,
        lambda o, isa: run(pool.average_pool_mobile, name, o, x, *args, isa=isa),
        dict.fromkeys(("NCHW", "NHWC"), want),
    )


def test_special_floats():
    """NaN never wins a maximum, infinity does; an average passes both on."""
    x = np.array([[[1, np.nan, np.inf, -np.inf, -np.inf, -np.inf]]], np.float32)
    window = Window((6,), (2,), (2,))
    for order in ("NCHW", "NHWC"):
        for isa in _isa.supported():
            plan = pool.Pool(window, 1, 1, order, isa)
            ordered = reference.from_nchw(x, order)
            lowest = np.finfo(np.float32).min
            assert pool.max_pool(plan, ordered).ravel().tolist() == [1, np.inf, lowest]
            assert np.array_equal(pool.average_pool(plan, ordered).ravel(), [np.nan, np.nan, -np.inf], equal_nan=True)


@pytest.fixture
def teams():
    """Whole teams for the smallest work."""
    before = _threads.get_num_threads()
    _threads.force_teams(True)
    yield _threads.set_num_threads
    _threads.force_teams(False)
    _threads.set_num_threads(before)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_threads(teams, name):
    floats, data = operand(name, np.float32), operand(name, np.uint8)
    calls = [
        (pool.max_pool, floats),
        (pool.max_pool, data),
        (pool.average_pool, floats),
        (pool.average_pool, data, False, 9, 0.5, 3),
        (pool.average_pool_mobile, data, 0.1, 9, 0.2, 3),
    ]
    for function, *args in calls:
        for order in ("NCHW", "NHWC"):
            teams(1)
            want = run(function, name, order, *args)
            for count in (2, 3, 7):
                teams(count)
                assert run(function, name, order, *args).tobytes() == want.tobytes()


def test_empty_batch():
    plan = pool.Pool(Window((4, 4), (2, 2)), 0, 3)
    assert pool.max_pool(plan, np.empty((0, 3, 4, 4), np.uint8)).shape == (0, 3, 3, 3)
    assert pool.average_pool(plan, np.empty((0, 3, 4, 4), np.float32)).shape == (0, 3, 3, 3)


def test_no_channels():
    plan = pool.Pool(Window((4, 4), (2, 2)), 2, 0, "NHWC")
    assert pool.max_pool(plan, np.empty((2, 4, 4, 0), np.uint8)).shape == (2, 3, 3, 0)


def test_refusals():
    plan = pool.Pool(Window((4, 4), (2, 2)), 1, 3)
    with pytest.raises(ShapeError):
        pool.max_pool(plan, np.zeros((1, 3, 4, 5), np.float32))
    with pytest.raises(DTypeError):
        pool.max_pool(plan, np.zeros((1, 3, 4, 4), np.float64))
    with pytest.raises(ArgumentError):
        pool.Pool(Window((4, 4), (2, 2), dilations=(2, 1)), 1, 3)
    with pytest.raises(ArgumentError):
        pool.Pool(Window((4, 4), (2, 2)), 1, 3, "NWHC")
    for scale in (0.0, np.nan, 1e-30, 1e30):
        with pytest.raises(QuantizationError):
            pool.mobile_factors(0.1, scale, 4)
