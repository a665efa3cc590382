"""fp32 convolution: every form, order and instruction set against a float64 reference, and against one another."""

from __future__ import annotations

import numpy as np
import pytest
from reference import window as reference

from serverquant._base import _isa, _threads
from serverquant._base.errors import ArgumentError, DTypeError, ShapeError
from serverquant.kernels._window import Window
from serverquant.kernels.conv_f32 import _conv_f32 as conv_f32
from serverquant.kernels.unary import _unary


class Case:
    """One geometry with seeded operands in NCHW."""

    def __init__(self, n, c, m, groups, sizes, kernel, strides=None, pads=None, dilations=None, seed=0):
        dims = len(sizes)
        self.strides, self.dilations = strides or (1,) * dims, dilations or (1,) * dims
        self.pads, self.groups = pads or (0,) * (2 * dims), groups
        self.window = Window(sizes, kernel, self.strides, self.pads, self.dilations)
        self.shape = (n, c, m)
        rng = np.random.default_rng(seed)
        self.x = rng.standard_normal((n, c, *sizes), dtype=np.float32)
        self.w = rng.standard_normal((m, c // groups, *kernel), dtype=np.float32)
        self.b = rng.standard_normal(m, dtype=np.float32)

    def geometry(self):
        return self.strides, self.pads, self.dilations, self.groups, self.window.out_sizes

    def plan(self, order, form=None, isa=None):
        return conv_f32.ConvF32(self.window, *self.shape, self.groups, order, form, isa)

    def run(self, order, form=None, isa=None, bounds=None, bias=True):
        """The result in NCHW, or None where the form does not apply."""
        try:
            plan = self.plan(order, form, isa)
        except ArgumentError:
            return None
        weights = plan.pack(reference.from_nchw(self.w, order))
        y = conv_f32.conv(plan, reference.from_nchw(self.x, order), weights, self.b if bias else None, bounds)
        return np.ascontiguousarray(reference.to_nchw(y, order))


CASES = {
    "point": Case(2, 5, 7, 1, (4, 6), (1, 1)),
    "point_low": Case(1, 40, 170, 1, (7, 7), (1, 1)),
    "point_strided": Case(1, 20, 70, 1, (9, 8), (1, 1), (2, 3)),
    "3x3": Case(2, 17, 19, 1, (7, 9), (3, 3), pads=(1, 1, 1, 1)),
    "3x3_wide": Case(1, 3, 6, 1, (5, 71), (3, 3), pads=(1, 1, 1, 1)),
    "3x3_stride": Case(1, 16, 8, 1, (9, 33), (3, 3), (2, 2), (1, 0, 2, 3)),
    "first": Case(1, 3, 10, 1, (23, 21), (7, 7), (2, 2), (3, 3, 3, 3)),
    "dilated": Case(1, 6, 4, 2, (10, 11), (3, 2), (1, 2), (2, 3, 1, 0), (3, 2)),
    "grouped": Case(2, 12, 18, 3, (6, 5), (2, 3), pads=(1, 1, 0, 2)),
    "grouped_wide": Case(1, 4, 200, 2, (4, 4), (2, 2)),
    "to_one_pixel": Case(3, 9, 33, 1, (5, 4), (5, 4)),
    "from_one_pixel": Case(4, 30, 20, 1, (1, 1), (3, 3), pads=(1, 1, 1, 1)),
    "padding_only": Case(1, 2, 3, 1, (1, 2), (2, 2), (3, 3), (4, 5, 4, 5)),
    "long_k": Case(1, 1100, 5, 1, (3, 3), (1, 1)),
    "long_taps": Case(1, 600, 9, 1, (4, 5), (3, 3), pads=(1, 1, 1, 1)),
    "1d": Case(2, 8, 9, 1, (19,), (4,), (3,), (2, 1), (2,)),
    "3d": Case(1, 3, 4, 1, (4, 5, 6), (2, 3, 2), (1, 2, 1), (1, 0, 1, 0, 1, 1), (1, 1, 2)),
    "one_output": Case(1, 7, 1, 1, (11, 39), (3, 3), pads=(1, 1, 1, 1)),
    "one_output_wide": Case(2, 2, 1, 1, (8, 130), (5, 3), pads=(2, 0, 1, 1)),
    "one_output_banded": Case(1, 130, 1, 1, (40, 50), (3, 3), (1, 2), pads=(1, 1, 1, 1)),
    "two_outputs": Case(1, 9, 2, 1, (7, 40), (3, 3), pads=(1, 1, 1, 1)),
    "three_outputs": Case(1, 9, 3, 1, (9, 31), (3, 3), (2, 2), (1, 1, 1, 1)),
    "four_outputs_low": Case(1, 9, 4, 1, (4, 9), (2, 3)),
    "depthwise": Case(2, 19, 19, 19, (7, 9), (3, 3), pads=(1, 1, 1, 1)),
    "depthwise_stride": Case(1, 70, 70, 70, (10, 13), (3, 3), (2, 2), (0, 1, 1, 1)),
    "depthwise_dilated": Case(1, 5, 5, 5, (11, 12), (3, 3), (2, 3), (2, 4, 3, 1), (2, 3)),
    "depthwise_multiplied": Case(2, 4, 12, 4, (6, 30), (3, 3), (1, 2), (1, 1, 1, 1)),
    "depthwise_1d": Case(1, 33, 33, 33, (40,), (5,), (2,), (4, 0)),
    "depthwise_3d": Case(1, 4, 4, 4, (5, 4, 6), (3, 3, 3), (2, 1, 2), (1, 1, 1, 1, 1, 1)),
    "depthwise_valid": Case(1, 3, 3, 3, (8, 20), (3, 1)),
}


@pytest.mark.parametrize("isa", _isa.NAMES)
@pytest.mark.parametrize("name", CASES)
def test_conv(name, isa):
    if isa not in _isa.supported():
        pytest.skip(f"this machine has no {isa}")
    case = CASES[name]
    want = reference.conv(case.x, case.w, case.b, *case.geometry())
    bound = reference.conv(np.abs(case.x), np.abs(case.w), np.abs(case.b), *case.geometry())
    base = case.run("NCHW", isa="scalar")
    assert base.shape == want.shape
    assert np.all(np.abs(base - want) <= (case.w[0].size + 2) * 2.0**-24 * bound)
    for order in ("NCHW", "NHWC"):
        for form in conv_f32.FORMS:
            got = case.run(order, form, isa)
            assert got is None or got.tobytes() == base.tobytes(), (order, form)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("isa", _isa.supported())
def test_depthwise_lines(isa, step):
    """Planes of all heights and widths around vectors and blocks of lines; a weight that makes NaNs of padding too."""
    for i, (height, width) in enumerate((h, w) for h in range(1, 18) for w in (1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 50)):
        pads = i % 3, i % 4, i // 2 % 3, i // 3 % 3
        if height + pads[0] + pads[2] < 3 or width + pads[1] + pads[3] < 3:
            continue
        case = Case(1, 2, 2, 2, (height, width), (3, 3), (step, step), pads, seed=i)
        case.w[1, 0, i % 3, 0] = np.inf
        got, want = case.run("NCHW", isa=isa), case.run("NHWC", isa="scalar")
        assert got.tobytes() == want.tobytes(), (height, width, pads)


@pytest.mark.parametrize("name", ["3x3", "grouped", "3d", "depthwise", "long_taps", "one_output", "three_outputs"])
def test_order_of_the_sum(name):
    case = CASES[name]
    rounded = Case.__new__(Case)
    rounded.__dict__.update(case.__dict__)
    # 11 bits each: the products are exact in float32, the sums are not.
    rounded.x, rounded.w = (np.round(v * 512).astype(np.float32) / 512 for v in (case.x, case.w))
    want = reference.conv_chain(rounded.x, rounded.w, case.b, *case.geometry())
    assert rounded.run("NCHW").tobytes() == want.tobytes()
    assert rounded.run("NHWC").tobytes() == want.tobytes()


@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
@pytest.mark.parametrize("form", conv_f32.FORMS)
@pytest.mark.parametrize("isa", _isa.supported())
@pytest.mark.parametrize("bounds", [(0, np.inf), (0, 1), (-0.5, 0.25), (1, -1), (np.nan, 0.5)])
def test_bounds_and_no_bias(order, form, isa, bounds):
    for name in ("3x3", "depthwise", "one_output", "three_outputs"):
        plain = CASES[name].run(order, form, isa, bias=False)
        if plain is not None:
            biased = plain + CASES[name].b[:, None, None]
            assert CASES[name].run(order, form, isa, bounds, bias=False).tobytes() == clip(plain, bounds).tobytes()
            assert CASES[name].run(order, form, isa, bounds).tobytes() == clip(biased, bounds).tobytes()


def clip(x, bounds):
    return _unary.py_map("clip_f32", x, a=bounds[0], b=bounds[1])


@pytest.fixture
def teams():
    """Whole teams for the smallest work."""
    before = _threads.get_num_threads()
    _threads.force_teams(True)
    yield _threads.set_num_threads
    _threads.force_teams(False)
    _threads.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_threads(teams, name):
    for order in ("NCHW", "NHWC"):
        for form in conv_f32.FORMS:
            teams(1)
            want = CASES[name].run(order, form)
            for count in (2, 3, 7):
                teams(count)
                got = CASES[name].run(order, form)
                assert got is want is None or got.tobytes() == want.tobytes(), (order, form, count)


def test_empty_batch():
    case = Case(0, 3, 4, 1, (5, 5), (3, 3))
    assert case.run("NCHW").shape == (0, 4, 3, 3)


def test_refusals():
    case = CASES["3x3"]
    plan = case.plan("NCHW")
    with pytest.raises(ShapeError):
        conv_f32.ConvF32(case.window, 1, 5, 6, 2)
    with pytest.raises(ArgumentError):
        conv_f32.ConvF32(case.window, 1, 5, 6, 1, "CHWN")
    with pytest.raises(ArgumentError):
        conv_f32.ConvF32(case.window, 1, 5, 6, 1, "NHWC", "pixels")
    with pytest.raises(ShapeError):
        plan.pack(case.w[:, :-1])
    with pytest.raises(DTypeError):
        plan.pack(case.w.astype(np.float64))
    with pytest.raises(ShapeError):
        conv_f32.conv(plan, case.x[:1], plan.pack(case.w))
    with pytest.raises(ShapeError, match="does not fit"):
        Window((2, 2), (3, 3))
    with pytest.raises(ArgumentError):
        Window((2, 2), (1, 1), (0, 1))
    with pytest.raises(ShapeError):
        Window((2, 2, 2, 2), (1, 1, 1, 1))


def test_window_sizes():
    assert Window((8,), (3,), (2,)).out_sizes == (3,)
    assert Window((8, 8), (3, 3), (2, 2), (1, 1, 1, 1)).out_sizes == (4, 4)
    assert Window((8,), (3,), (2,), out_sizes=(4,)).out_sizes == (4,)
