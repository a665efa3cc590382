"""Convolution on every row of the gemm table against numpy, in all its geometry."""

from __future__ import annotations

import numpy as np
import pytest
from reference import conv as reference
from reference import gemm as gemm_reference

from serverquant._base import _threads
from serverquant._base.errors import ShapeError
from serverquant.kernels.conv import _conv
from serverquant.kernels.dwconv import _dwconv
from serverquant.kernels.gemm import _gemm


def params(rows):
    return [pytest.param(r, id=r.name, marks=[] if r.supported else pytest.mark.skip(r.isa)) for r in rows]


ROWS = params(_gemm.rows())
DEPTHWISE_ROWS = params(_dwconv.rows())

# size, kernel, stride, pads, dilation, channels in, out, groups
CASES = {
    "1x1": ((5, 7), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 20, 9, 1),
    "1x1_groups": ((5, 3), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 12, 6, 3),
    "1x1_stride": ((5, 8), (1, 1), (2, 3), (0, 0, 0, 0), (1, 1), 8, 5, 1),
    "1x1_pads": ((4, 4), (1, 1), (1, 1), (1, 0, 0, 2), (1, 1), 8, 5, 1),
    "3x3": ((9, 8), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 32, 19, 1),
    "3x3_stride": ((9, 8), (3, 3), (2, 2), (1, 0, 1, 2), (1, 1), 16, 70, 1),
    "3x3_dilation": ((11, 10), (3, 3), (1, 2), (2, 3, 1, 0), (2, 3), 16, 8, 1),
    "3x3_odd_channels": ((6, 6), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 17, 5, 1),
    "3x3_one_output": ((6, 7), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 64, 1, 1),
    "3x3_few_outputs": ((9, 7), (3, 3), (2, 1), (1, 1, 1, 1), (1, 1), 64, 3, 1),
    "few_outputs_runs": ((5, 37), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 64, 1, 1),
    "few_outputs_strided_runs": ((9, 80), (2, 3), (2, 2), (0, 1, 1, 3), (2, 2), 128, 3, 1),
    "few_outputs_no_pads": ((2, 19), (1, 2), (1, 1), (0, 0, 0, 0), (1, 1), 64, 2, 1),
    "few_outputs_1x1": ((4, 61), (1, 1), (1, 3), (0, 0, 0, 0), (1, 1), 64, 4, 1),
    "few_outputs_volume": ((3, 4, 21), (2, 3, 3), (1, 2, 1), (1, 1, 0, 0, 1, 0), (1, 1, 1), 64, 1, 1),
    "first": ((23, 21), (7, 7), (2, 2), (3, 3, 3, 3), (1, 1), 3, 66, 1),
    "first_dilation": ((23, 21), (3, 5), (2, 1), (3, 3, 0, 3), (1, 2), 3, 6, 1),
    "all_padding": ((1, 2), (3, 3), (2, 2), (4, 4, 4, 4), (1, 1), 3, 6, 1),
    "all_padding_pointers": ((1, 2), (3, 3), (2, 2), (4, 4, 4, 4), (1, 1), 16, 6, 1),
    "3x3_panel": ((7, 7), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 32, 64, 1),
    "two_taps_panel": ((5, 7), (1, 2), (1, 1), (0, 0, 0, 0), (1, 1), 16, 130, 1),
    "groups_panel": ((5, 5), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 32, 128, 2),
    "1x1_panel": ((5, 6), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 24, 128, 2),
    "groups_4": ((6, 5), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 32, 32, 8),
    "groups_32": ((6, 5), (3, 3), (2, 1), (1, 1, 1, 1), (1, 1), 96, 60, 3),
    "groups_prime": ((6, 5), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 14, 21, 7),
    "depthwise": ((8, 9), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 37, 37, 37),
    "depthwise_5x5": ((8, 9), (5, 5), (2, 2), (2, 2, 2, 2), (1, 1), 64, 64, 64),
    "depthwise_dilation": ((8, 9), (3, 2), (1, 2), (2, 1, 2, 0), (2, 3), 20, 20, 20),
    "depthwise_1x1": ((8, 9), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 15, 15, 15),
    "depthwise_block": ((5, 4), (2, 1), (1, 1), (0, 0, 0, 0), (1, 1), 129, 129, 129),
    "depthwise_one": ((19, 17), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1, 1, 1),
    "depthwise_one_strided": ((39, 43), (3, 5), (2, 2), (1, 2, 0, 2), (1, 1), 1, 1, 1),
    "depthwise_few": ((31, 37), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 3, 3, 3),
    "depthwise_few_strided": ((37, 41), (3, 2), (2, 3), (1, 0, 1, 1), (2, 1), 17, 17, 17),
    "depthwise_few_banded": ((150, 120), (3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 6, 6, 6),
    "depthwise_few_3d": ((5, 9, 10), (2, 3, 3), (1, 2, 1), (1, 1, 0, 0, 1, 1), (1, 1, 1), 4, 4, 4),
    "multiplier": ((5, 6), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 24, 48, 24),
    "line": ((19,), (5,), (2,), (2, 1), (1,), 7, 6, 1),
    "line_depthwise": ((19,), (4,), (1,), (2, 1), (2,), 33, 33, 33),
    "volume": ((4, 5, 6), (3, 2, 3), (1, 2, 1), (1, 0, 2, 1, 1, 0), (1, 1, 2), 16, 10, 1),
    "volume_groups": ((4, 5, 6), (2, 2, 2), (2, 1, 1), (0, 1, 0, 1, 1, 0), (2, 1, 1), 6, 8, 2),
}


DEPTHWISE = ["depthwise", "depthwise_5x5", "depthwise_dilation", "line_depthwise", "depthwise_1x1", "depthwise_block",
             "depthwise_one", "depthwise_one_strided", "depthwise_few", "depthwise_few_strided", "depthwise_few_banded",
             "depthwise_few_3d"]


def make(name, batch=2):
    rng = np.random.default_rng(sum(map(ord, name)))
    size, kernel, stride, pads, dilation, c, out, groups = CASES[name]
    x = rng.integers(0, 256, (batch, *size, c), np.uint8)
    w = rng.integers(-128, 128, (out, *kernel, c // groups), np.int8)
    return x, w, _conv.Geometry(size, kernel, stride, pads, dilation, c, out, groups, batch)


def run(name, row, zx=0, zw=0, kind="raw_s32", **ep):
    x, w, geometry = make(name)
    _, _, stride, pads, dilation, _, out, groups = CASES[name]
    packed = _conv.pack_conv(w, groups, zw, row=row)
    bias = np.arange(out, dtype=np.int32) * 1000
    got = _conv.conv(x, geometry, packed, _gemm.Epilogue(kind, out, _gemm.fold(packed, zx, bias), **ep), zx)
    return got, reference.sums(x, w, stride, pads, dilation, groups, zx, zw, bias)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", CASES)
def test_geometry(row, name):
    for zx, zw in ((0, 0), (131, 0), (131, -9)):
        got, want = run(name, row.name, zx, zw)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["1x1", "1x1_groups", "3x3", "3x3_stride", "first", "groups_4", "volume"])
def test_weights_of_any_spread(row, name):
    """What int16 sums hold, what they hold but for a few, and what they do not (uniform ones: test_geometry)."""
    x, w, geometry = make(name)
    _, _, stride, pads, dilation, _, out, groups = CASES[name]
    rng = np.random.default_rng(2)
    small = np.clip(rng.laplace(0, 8, w.shape), -128, 127).astype(np.int8)
    few = np.where(rng.random(w.shape) < 0.01, w, small)
    for weights in (small, few, np.where(w < 0, -128, 127).astype(np.int8)):
        packed = _conv.pack_conv(weights, groups, 0, row=row.name)
        for values in (x, np.full_like(x, 255)):
            got = _conv.conv(values, geometry, packed, _gemm.Epilogue("raw_s32", out, _gemm.fold(packed, 131)), 131)
            np.testing.assert_array_equal(got, reference.sums(values, weights, stride, pads, dilation, groups, 131, 0))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["3x3", "groups_4", "depthwise", "multiplier", "first"])
def test_epilogues_and_zero_points_per_channel(row, name):
    rng = np.random.default_rng(3)
    out = CASES[name][6]
    zw = rng.integers(-128, 128, out)
    m = rng.uniform(1e-4, 1e-3, out).astype(np.float32)
    got, acc = run(name, row.name, 77, zw, "requant_f32", multiplier=m, zero_point=5, lo=5)
    np.testing.assert_array_equal(got, gemm_reference.requant_f32(acc, m, 5, 5))
    got, acc = run(name, row.name, 77, zw, "requant_q31", ratio=0.001, zero_point=50)
    np.testing.assert_array_equal(got, gemm_reference.requant_q31(acc, 0.001, 50))
    got, acc = run(name, row.name, 77, zw, "dequant_f32", multiplier=m, bias_f32=m, relu=True)
    np.testing.assert_array_equal(got, gemm_reference.dequant_f32(acc, m, m, True))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", ["3x3_panel", "two_taps_panel", "groups_panel", "1x1_panel"])
@pytest.mark.parametrize("zw", [0, -9])
def test_whole_panels_requantized(row, name, zw):
    got, acc = run(name, row.name, 77, zw, "requant_f32", multiplier=np.float32(3e-4), zero_point=90)
    np.testing.assert_array_equal(got, gemm_reference.requant_f32(acc, np.float32(3e-4), 90))
    got, acc = run(name, row.name, 77, zw, "requant_q31", ratio=0.0003, zero_point=90)
    np.testing.assert_array_equal(got, gemm_reference.requant_q31(acc, 0.0003, 90))


@pytest.mark.parametrize("row", DEPTHWISE_ROWS)
@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise(row, name):
    rng = np.random.default_rng(4)
    out = CASES[name][6]
    per_channel = rng.integers(-128, 128, out)
    for zx, zw in ((0, 0), (131, 0), (131, -9), (3, per_channel)):
        got, want = run(name, row.name, zx, zw)
        np.testing.assert_array_equal(got, want)
    m = rng.uniform(1e-4, 1e-2, out).astype(np.float32)
    for zw in (0, per_channel):
        for scale in (m, m[:1]):
            got, acc = run(name, row.name, 77, zw, "requant_f32", multiplier=scale, zero_point=99, lo=40, hi=250)
            np.testing.assert_array_equal(got, gemm_reference.requant_f32(acc, scale, 99, 40, 250))
        got, acc = run(name, row.name, 77, zw, "requant_q31", ratio=0.01, zero_point=50)
        np.testing.assert_array_equal(got, gemm_reference.requant_q31(acc, 0.01, 50))
        got, acc = run(name, row.name, 77, zw, "dequant_f32", multiplier=m, bias_f32=m)
        np.testing.assert_array_equal(got, gemm_reference.dequant_f32(acc, m, m))


@pytest.mark.parametrize("row", DEPTHWISE_ROWS)
@pytest.mark.parametrize("channels", [2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65])
def test_depthwise_widths_and_extremes(row, channels):
    geometry = _conv.Geometry((3, 3), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), channels, channels, channels)
    for value in (-128, 127):
        x, w = np.full((1, 3, 3, channels), 255, np.uint8), np.full((channels, 3, 3, 1), value, np.int8)
        packed = _conv.pack_conv(w, channels, -value - 1, row=row.name)
        got = _conv.conv(x, geometry, packed, _gemm.Epilogue("raw_s32", channels, _gemm.fold(packed, 255)), 255)
        np.testing.assert_array_equal(got, np.zeros_like(got))
        got = _conv.conv(x, geometry, packed, _gemm.Epilogue("raw_s32", channels, _gemm.fold(packed, 1)), 1)
        assert set(np.unique(got)) == {254 * (2 * value + 1) * taps for taps in (4, 6, 9)}


@pytest.mark.parametrize("name", CASES)
def test_threads_change_nothing(name):
    before = _threads.get_num_threads()
    _threads.force_teams(True)
    try:
        for threads in (1, 2, 3, 7):
            _threads.set_num_threads(threads)
            got, want = run(name, None, 131, -9)
            np.testing.assert_array_equal(got, want)
    finally:
        _threads.force_teams(False)
        _threads.set_num_threads(before)


def test_scratch_depends_on_threads_alone():
    x, w, geometry = make("3x3", batch=0)
    packed = _conv.pack_conv(w)
    y = _conv.conv(x, geometry, packed, _gemm.Epilogue("raw_s32", 19, np.zeros(19, np.int32)))
    assert y.shape == (0, 9, 8, 19)
    assert geometry.macs == 0


def test_refusals():
    good = {"size": (4, 4), "kernel": (3, 3), "stride": (1, 1), "pads": (0,) * 4, "dilation": (1, 1)}
    good |= {"in_channels": 4, "out_channels": 4}
    _conv.Geometry(**good)
    for change, words in (
        ({"kernel": (5, 3)}, "larger than the input"),
        ({"groups": 3}, "groups"),
        ({"stride": (0, 1)}, "at least 1"),
        ({"pads": (0, 0)}, "disagree"),
        (dict.fromkeys(("size", "kernel", "stride", "dilation"), (1,) * 4) | {"pads": (0,) * 8}, "4 spatial"),
        ({"size": (2**31, 4)}, "too large"),
    ):
        with pytest.raises(ShapeError, match=words):
            _conv.Geometry(**{**good, **change})
    with pytest.raises(ShapeError, match="weights must be"):
        _conv.pack_conv(np.zeros((3, 3), np.int8))
