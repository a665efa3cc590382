"""Kinds of weight quantization: against answers of the real Caffe2, and against their definition.

caffe2_weights.npz holds small weights with the parameters under which every bit of what Caffe2's FC made of them is
reproduced: `weights` one behind the other; `meta`, a row for each: kind, precision, symmetric, number of values, zero
point, precision of the answer; `scales`; `kinds`, the names that the first column counts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.qparams import KINDS, QParams, _search, choose, choose_from_histogram, choose_weight
from serverquant.qparams.choose import Defaults
from serverquant.qparams.histogram import Histogram

f32 = np.float32


def answers():
    """(weights, kind, precision, symmetric, parameters) of each case."""
    with np.load(Path(__file__).with_name("caffe2_weights.npz")) as stored:
        weights, meta, scales, kinds = (stored[name] for name in ("weights", "meta", "scales", "kinds"))
    begin = 0
    for (kind, precision, symmetric, size, zero_point, bits), scale in zip(meta.tolist(), scales.tolist()):
        params = QParams(scale, zero_point, bits, True)
        yield weights[begin : begin + size], str(kinds[kind]), precision, bool(symmetric), params
        begin += size


def is_slow(kind: str, precision: int, symmetric: bool) -> bool:
    return kind == "kl" and precision > 6 and not symmetric


@pytest.mark.parametrize("isa", _isa.supported())
def test_answers_of_caffe2(isa):
    before = _isa.set_level(isa)
    try:
        for weights, kind, precision, symmetric, want in answers():
            if not is_slow(kind, precision, symmetric):
                assert choose_weight(weights, kind, precision, symmetric) == want, (kind, precision, symmetric)
    finally:
        _isa.set_level(before)


@pytest.mark.slow
def test_answers_of_caffe2_that_take_seconds():
    for weights, kind, precision, symmetric, want in answers():
        if is_slow(kind, precision, symmetric):
            assert choose_weight(weights, kind, precision, symmetric) == want


def norm_of_range(h: Histogram, b: int, c: int, steps: int, power: int) -> float:
    """Sum of |distance from the step's middle|^power, each bin cut at the steps' borders."""
    width, total = float(h.width), 0.0
    step = width * c / steps
    inner = step * np.arange(1, steps)
    for i, count in enumerate(h.counts):
        begin, end = (i - b) * width, (i - b + 1) * width
        cuts = np.concatenate(([begin], inner[(inner > begin) & (inner < end)], [end]))
        middles = (np.clip(np.floor((cuts[:-1] + cuts[1:]) / 2 / step), 0, steps - 1) + 0.5) * step
        lo, hi = cuts[:-1] - middles, cuts[1:] - middles
        parts = np.sign(hi) * abs(hi) ** (power + 1) - np.sign(lo) * abs(lo) ** (power + 1)
        total += count / width * parts.sum() / (power + 1)
    return total


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("shift", [0, 2, -3])
def test_no_range_has_a_smaller_norm(kind, power, shift):
    random = np.random.default_rng(7 + shift)
    weights = (random.standard_t(3, 60) * (1 if shift == 0 else 0.5) + shift).astype(f32)
    h = Histogram.of(weights, 32, weights.min(), weights.max()).include_zero()
    n = h.counts.size
    norms = {(b, c): norm_of_range(h, b, c, 4, power) for c in range(1, n + 1) for b in range(n - c + 1)}
    found = choose_weight(weights, kind, 2)
    near = min(norms.values()) * (1 + 1e-5)
    best = [(h.lo + h.width * f32(b), h.lo + h.width * f32(b + c)) for b, c in norms if norms[b, c] <= near]
    assert found in [choose(*map(float, ends), 2).to_signed() for ends in best]


def error_of_range(values: np.ndarray, begin: float, end: float, steps: int, power: int) -> float:
    """1/N sum |x - x'|^power, where x' is the nearest of `steps` middles of equal parts of begin..end."""
    step = (end - begin) / steps
    place = np.clip(np.floor((values - begin) / step), 0, steps - 1)
    return float((np.abs(values - (begin + (place + 0.5) * step)) ** power).mean())


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("precision", [2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_no_range_has_a_smaller_error(kind, power, precision, seed):
    """delta = argmin 1/N sum |x - round(x / delta') delta'|^power over the values themselves: the histogram, whose
    values are spread evenly in its bins, finds a range that is as good but for what its bins blur."""
    values = np.random.default_rng(seed).standard_t(4, 20_000).astype(f32)
    h = Histogram.of(values, 64, values.min(), values.max())
    steps, width = 1 << precision, float(h.width)
    ranges = [(b, c) for c in range(1, 65) for b in range(65 - c)]
    errors = {r: error_of_range(values, h.lo + r[0] * width, h.lo + sum(r) * width, steps, power) for r in ranges}
    symmetric, zero = h.ranges(True, h.width)
    for around, at in ((_search.ALL_RANGES, 0), (symmetric, zero)):
        found = _search.search_norm(kind, h.counts.astype(f32), width, precision, around, at)
        tried = ranges if around == _search.ALL_RANGES else [r for r in ranges if r[0] == zero - r[1] // 2]
        if found in errors:
            assert errors[found] <= min(errors[r] for r in tried) * 1.03


WIDTHS = [(kind, precision) for kind in KINDS for precision in (2, 3, 5, 8, 11, 16) if kind != "kl" or precision < 11]


@pytest.mark.parametrize(("kind", "precision"), WIDTHS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_every_width(kind, precision, symmetric):
    """Of an activation: what is chosen holds most of the values, symmetric ones have the middle zero point, and powers
    of two are powers of two, at least as large."""
    values = np.random.default_rng(precision).normal(0.3, 1, 3000).astype(f32)
    h = Histogram.of(values, 64, values.min(), values.max())
    defaults = Defaults(precision, symmetric)
    plain = choose_from_histogram(h, kind, precision, symmetric, defaults)
    assert plain.precision == precision
    assert not plain.is_signed
    assert 0 <= plain.zero_point < 1 << precision
    assert plain.min < 0.3 < plain.max
    if symmetric:
        assert plain.zero_point == 1 << (precision - 1)
    rounded = choose_from_histogram(h, kind, precision, symmetric, defaults._replace(power_of_two=True))
    assert np.log2(rounded.scale) % 1 == 0
    assert plain.scale <= rounded.scale < 2 * plain.scale


def divergence_of_range(counts: np.ndarray, b: int, c: int, steps: int) -> float:
    """sum P ln(P/Q) over fractions of bins: each (bin, share of it) of each step, P whole numbers."""
    total, left, right = counts.sum(), counts[:b].sum(), counts[b + c :].sum()
    spilt = counts.astype(np.int64)
    spilt[b] += left
    spilt[b + c - 1] += right
    terms = []
    for d in range(steps):
        begin, end = b + d * c / steps, b + (d + 1) * c / steps
        bins = np.arange(int(begin), int(np.ceil(end)))
        shares = np.minimum(bins + 1, end) - np.maximum(bins, begin)
        inside = (counts[bins] * shares).sum()
        length = shares[spilt[bins] > 0].sum()
        p = (spilt[bins] * shares).astype(np.int64)
        q = inside * shares / max(length, 1e-300)
        with np.errstate(divide="ignore"):
            terms += list((p[p > 0] * np.log(p[p > 0] / q[p > 0])) / total)
    return float(np.sum(terms))


@pytest.mark.parametrize("size", [30, 400, 20000])
def test_no_range_has_a_smaller_divergence(size):
    weights = np.random.default_rng(size).laplace(size=size).astype(f32)
    counts = Histogram.of(weights, 32, weights.min(), weights.max()).counts
    found = _search.search_kl(counts, 2, _search.ALL_RANGES, 0)
    least = min(divergence_of_range(counts, b, c, 4) for c in range(1, 33) for b in range(33 - c))
    assert divergence_of_range(counts, *found, 4) <= least + 1e-12


def test_kinds_are_the_modules_of_methods():
    assert KINDS == ("kl", "l1", "l2", "l2_approx", "min_max", "p99")


@pytest.mark.parametrize("kind", ["", "l3", "__init__", "minmax"])
def test_unknown_kind(kind):
    with pytest.raises(ArgumentError, match="kl, l1, l2, l2_approx, min_max, p99"):
        choose_weight(f32([1, 2]), kind)


def test_kind_may_be_of_any_case():
    weights = f32([-1, 0.3, 2])
    assert choose_weight(weights, "P99", 4) == choose_weight(weights, "p99", 4)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_without_a_spread_take_their_range(kind):
    for value in (0, 0.37, -2.5, 1e-40):
        weights = np.full(5, value, f32)
        assert choose_weight(weights, kind, 6) == choose(value, value, 6).to_signed()
    assert choose_weight(np.empty(0, f32), kind) == choose(0, 0).to_signed()


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_are_not_finite_take_their_range(kind):
    assert choose_weight(f32([-1, np.inf, 2]), kind).scale == np.inf
    assert np.isnan(choose_weight(f32([np.nan, 1, 2]), kind).scale)
    assert 0 < choose_weight(f32([-1, np.nan, 2, 0.5]), kind, 4).scale < 1  # passed over


@pytest.mark.parametrize(("kind", "spread"), [("l1", 1e-2), ("l2", 1e-2), ("l2_approx", 1e-5), ("p99", 1e-5)])
@pytest.mark.parametrize("sign", [1, -1])
def test_values_too_far_from_zero_are_refused(kind, spread, sign):
    weights = f32([10, 10 + spread, 10 + spread / 2]) * sign
    with pytest.raises(QuantizationError, match="choose kind min_max"):
        choose_weight(weights, kind, 8)
    assert choose_weight(weights, "min_max").scale > 0


@pytest.mark.parametrize("kind", ["l2_approx", "p99"])
def test_values_far_from_zero_take_many_bins(kind):
    assert choose_weight(f32([1, 1.01, 1.004]), kind).scale == pytest.approx(1.01 / 255, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_only_min_max_rounds_to_powers_of_two(kind):
    weights = np.random.default_rng(9).normal(size=40).astype(f32)
    plain, rounded = (choose_weight(weights, kind, 4, power_of_two=flag) for flag in (False, True))
    if kind == "min_max":
        assert np.log2(rounded.scale) % 1 == 0
        assert rounded.scale >= plain.scale
    else:
        assert rounded == plain


@pytest.mark.parametrize("kind", ["l1", "l2", "l2_approx"])
def test_nothing_is_cut_off_where_scales_are_small(kind):
    weights = np.random.default_rng(10).standard_t(2, 100).astype(f32)
    lo, hi = weights.min(), weights.max()
    for spread, cut in [(6.0e-5, False), (6.2e-5, True)]:
        small = weights * f32(15 * spread / (hi - lo))
        whole = choose(small.min(), small.max(), 4).to_signed()
        assert (choose_weight(small, kind, 4) != whole) == cut


def test_histogram():
    h = Histogram.of(f32([-1, -0.9, 0.24, 0.26, 1, np.nan]), 8, -1, 1)
    assert h.width == f32(0.25)
    assert h.counts.tolist() == [3, 0, 0, 0, 1, 1, 0, 1]
    assert h.include_zero() is h


def test_include_zero():
    front = Histogram.of(f32([1, 2]), 4, 1, 2).include_zero()
    assert (front.lo, front.hi, front.counts.tolist()) == (0, 2, [0, 0, 0, 0, 1, 0, 0, 1])
    behind = Histogram.of(f32([-2, -1.1]), 4, f32(-2), f32(-1.1)).include_zero()
    assert behind.counts.tolist() == [1, 0, 0, 1] + [0] * 5
    assert behind.lo == -2
    assert 0 <= behind.hi < behind.width


def test_large_tensor_is_counted_natively():
    weights = np.random.default_rng(11).normal(size=300_000).astype(f32)
    lo, hi = weights.min(), weights.max()
    h = Histogram.of(weights, 2048, lo, hi)
    index = np.clip(((weights - h.lo) / h.width).astype(np.int64), 0, 2047)
    np.testing.assert_array_equal(h.counts, np.bincount(index, minlength=2048))
