"""Histograms of calibration: any order, sharding and merging gives the same bytes; files; Caffe2's own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from serverquant._base import _isa, _threads
from serverquant._base.errors import ParseError, QuantizationError
from serverquant.qparams import KINDS, choose_from_histogram, choose_weight
from serverquant.qparams.histogram import Histogram
from serverquant.quantization.caffe2_files import Line, read, write
from serverquant.quantization.dynamic_histogram import LARGEST, DynamicHistogram
from serverquant.quantization.histogram import MAX_BINS, AlignedHistogram
from serverquant.quantization.statistics import Statistics, fingerprint

f32 = np.float32


def counted(*parts: np.ndarray) -> AlignedHistogram:
    found = AlignedHistogram()
    for part in parts:
        found.add(part)
    return found


def bytes_of(h: AlignedHistogram) -> bytes:
    return b"".join(a.tobytes() for a in h.arrays().values())


def data(seed: int) -> np.ndarray:
    """Values of very different magnitudes, some negative zeros and subnormals among them."""
    random = np.random.default_rng(seed)
    spread = 10.0 ** random.integers(-44, 37, 600) if seed % 2 else 1.0
    values = (random.standard_t(2, 600) * spread).astype(f32)
    values[:3] = 0.0, -0.0, 1e-45
    return np.abs(values) if seed % 3 == 0 else values


@pytest.mark.parametrize("seed", range(24))
def test_order_shards_and_merges_give_the_same_bytes(seed):
    values, random = data(seed), np.random.default_rng(100 + seed)
    want = bytes_of(counted(values))
    cuts = np.sort(random.integers(0, values.size + 1, 5))
    parts = np.split(random.permutation(values), cuts)
    assert bytes_of(counted(*parts)) == want
    shards = [counted(part) for part in parts]
    whole = AlignedHistogram()
    for i in random.permutation(len(shards)):
        whole.merge(shards[i])
    assert bytes_of(whole) == want
    left, right = counted(*parts[:3]), counted(*parts[3:])
    right.merge(left)
    assert bytes_of(right) == want


@pytest.mark.parametrize("seed", range(24))
def test_counts_are_those_of_the_definition(seed):
    values = data(seed)
    h = counted(values)
    assert h.counts.size <= MAX_BINS
    assert sum(a.nbytes for a in h.arrays().values()) <= 20 << 10
    index = [math.floor(float(x) * 2.0**-h.exponent) - h.first for x in values]
    np.testing.assert_array_equal(h.counts, np.bincount(index, minlength=h.counts.size))
    assert (h.lo, h.hi, h.total) == (values.min(), values.max(), values.size)
    if h.exponent > -149:  # no narrower bins would do
        narrow = 2.0 ** (1 - h.exponent)
        assert math.floor(max(h.hi, 0) * narrow) - math.floor(min(h.lo, 0) * narrow) + 1 > MAX_BINS


@pytest.fixture(params=_isa.supported())
def isa(request):
    before = _isa.set_level(request.param)
    yield request.param
    _isa.set_level(before)


@pytest.fixture(params=[1, 2, 5])
def threads(request):
    before = _threads.set_num_threads(request.param)
    _threads.force_teams(True)
    yield request.param
    _threads.force_teams(False)
    _threads.set_num_threads(before)


SHAPES = [(3,), (5000,), (1, 9000), (70, 130), (3, 5, 7, 9), (2, 3, 64, 65), (4, 2, 1, 1), (9000, 1), (2, 6000, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("holes", [0, 3])
def test_counts_and_maxima_of_any_shape(isa, threads, shape, holes):
    random = np.random.default_rng(len(shape) + holes)
    values = (random.standard_t(3, shape) * 7).astype(f32)
    for hole in (np.nan, np.inf, -np.inf, -np.nan)[:holes]:
        values.reshape(-1)[random.integers(values.size)] = hole
    finite = values[np.isfinite(values)]
    maxima = np.zeros(shape[1] if len(shape) > 1 else 0, f32)
    h = AlignedHistogram()
    ends = h.add(values, maxima)
    assert ends == (h.lo, h.hi) == (finite.min(), finite.max())
    assert (h.total, h.not_finite) == (finite.size, values.size - finite.size)
    index = np.floor(finite.astype(np.float64) * 2.0**-h.exponent).astype(int) - h.first
    np.testing.assert_array_equal(h.counts, np.bincount(index, minlength=h.counts.size))
    if maxima.size:
        magnitude = np.where(np.isfinite(values), np.abs(values), 0).swapaxes(0, 1).reshape(maxima.size, -1)
        np.testing.assert_array_equal(maxima, magnitude.max(axis=1))
    before = bytes_of(h)
    assert h.add(np.full(shape, np.nan, f32)) == (np.inf, -np.inf)
    h.not_finite -= values.size
    assert bytes_of(h) == before


@pytest.mark.parametrize("top", [np.inf, 6.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_counts_of_what_is_behind_an_activation(isa, threads, shape, top):
    """In one pass over what it reads: those of a pass over what it writes."""
    random = np.random.default_rng(len(shape))
    behind, seen, want, want_seen = (AlignedHistogram() for _ in range(4))
    maxima = np.zeros((4, shape[1] if len(shape) > 1 else 0), f32)
    for scale in (1e-3, 4.0, 9.0):  # the second and third pass need other bins
        x = (random.standard_t(3, shape) * scale).astype(f32)
        v = np.clip(x, f32(0), f32(top))
        ends = behind.add_clamped(x, maxima[0], top, seen, maxima[1])
        assert ends == (want_seen.add(x, maxima[3], False), want.add(v, maxima[2]))
    assert bytes_of(behind) == bytes_of(want)
    assert bytes_of(seen) == bytes_of(want_seen)
    np.testing.assert_array_equal(maxima[:2], maxima[2:])
    before, kept = bytes_of(behind), maxima.copy()
    x.reshape(-1)[-1] = np.nan
    assert behind.add_clamped(x, maxima[0], top, seen, maxima[1])[1] is None
    assert bytes_of(behind) == before
    np.testing.assert_array_equal(maxima[0], kept[0])
    assert seen.not_finite == 1


@pytest.mark.parametrize("exponent", [-149, -140, -126, -100, 0, 100, 127])
def test_values_of_any_magnitude(isa, exponent):
    """Where products with the bins' inverse underflow, and where that inverse is no float."""
    random = np.random.default_rng(exponent + 200)
    values = np.ldexp(random.uniform(-1, 1, 3000), exponent).astype(f32)
    values[::7] = -np.ldexp(f32(1), -149)  # the largest negative number: bin -1 in bins of any width
    h = counted(values)
    index = [math.floor(math.ldexp(float(x), -h.exponent)) - h.first for x in values]
    np.testing.assert_array_equal(h.counts, np.bincount(index, minlength=h.counts.size))


def test_negative_zero_is_zero():
    for values in ([0.0, -0.0], [-0.0, 0.0], [-0.0]):
        assert bytes_of(counted(f32(values)))[-8:] == bytes(8)


def test_not_finite_values_are_counted_apart():
    h = counted(f32([np.nan, 1, np.inf, -2, -np.inf]))
    assert (h.not_finite, h.total, h.lo, h.hi) == (3, 2, -2, 1)
    only = counted(f32([np.nan]))
    assert only.not_finite == 1
    with pytest.raises(QuantizationError, match="no finite value"):
        only.histogram()


@pytest.mark.parametrize("values", [[0.0], [3e38, -3e38], [1e-45], [5.0, 5.0], []])
def test_arrays_and_back(values):
    h = counted(f32(values))
    assert bytes_of(AlignedHistogram.from_arrays(h.arrays())) == bytes_of(h)


@pytest.mark.parametrize(
    "wrong",
    [{"counts": np.zeros(3, np.int64)}, {"place": np.array([5000, 0, 0])}, {"range": f32([3, 1])}, {"place": 1}],
)
def test_arrays_that_contradict_are_refused(wrong):
    with pytest.raises(QuantizationError):
        AlignedHistogram.from_arrays({**counted(f32([1, 2])).arrays(), **wrong})


def test_ranges_from_a_histogram_hold_what_methods_keep():
    values = np.random.default_rng(3).laplace(size=5000).astype(f32)
    h = counted(values).histogram()
    assert float(h.width) == 2.0 ** counted(values).exponent
    for kind in ("min_max", "p99", "l2_approx"):
        ours, weights = choose_from_histogram(h, kind), choose_weight(values, kind)
        assert ours.scale == pytest.approx(weights.scale, rel=0.05)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "kl"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_a_histogram_gives_what_its_values_give(kind, symmetric):
    values = np.random.default_rng(4).standard_t(3, 900).astype(f32)
    h = Histogram.of(values, 128, values.min(), values.max())
    assert choose_from_histogram(h, kind, 4, symmetric).to_signed() == choose_weight(values, kind, 4, symmetric)


# ---- statistics -----------------------------------------------------------------------------------------------------


def statistics(*arrays: np.ndarray) -> Statistics:
    found = Statistics("mark")
    for array in arrays:
        found.add("x", array)
        found.samples += len(array)
    return found


def test_file_of_statistics(tmp_path):
    random = np.random.default_rng(5)
    arrays = [random.normal(size=(2, 3, 4)).astype(f32) * 3**i for i in range(4)]
    statistics(*arrays).save(tmp_path / "a")
    statistics(*arrays[::-1]).save(tmp_path / "b")
    half = statistics(*arrays[:2])
    half.merge(statistics(*arrays[2:]))
    half.save(tmp_path / "c")
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1
    back = Statistics.load(tmp_path / "a")
    assert (back.fingerprint, back.samples, back.blobs["x"].shape) == ("mark", 8, (3, 4))
    assert (back.average, back.unfinished, back.blobs["x"].average) == (None, "", None)
    np.testing.assert_array_equal(back.blobs["x"].maxima, np.abs(np.concatenate(arrays)).max(axis=(0, 2)))
    back.save(tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == (tmp_path / "a").read_bytes()


def test_statistics_of_another_net_are_refused():
    with pytest.raises(QuantizationError, match="calibrate anew"):
        Statistics("a").merge(Statistics("b"))
    assert len({fingerprint(b"n", b"d"), fingerprint(b"nd"), fingerprint(b"nd", b"")}) == 3


def test_files_that_are_no_statistics_are_refused(tmp_path):
    (tmp_path / "text").write_text("0 Relu 0 x 1 2")
    np.savez(tmp_path / "other.npz", a=1)
    whole = tmp_path / "whole"
    statistics(f32([[1, 2]])).save(whole)
    (tmp_path / "short").write_bytes(whole.read_bytes()[:200])
    for name in ("text", "other.npz", "short"):
        with pytest.raises(QuantizationError, match="not a statistics file"):
            Statistics.load(tmp_path / name)


# ---- Caffe2's -------------------------------------------------------------------------------------------------------


def test_dynamic_histogram_in_one_range():
    values = np.random.default_rng(6).normal(size=4000).astype(f32)
    h = DynamicHistogram(64)
    h.add(values)
    final = h.finish()
    assert (final.lo, final.hi, final.counts.sum()) == (values.min(), values.max(), 4000)
    # four fine bins are a coarse one, up to the rounding of their borders
    assert np.abs(final.counts - Histogram.of(values, 64, final.lo, final.hi).counts).max() <= 2


# What Caffe2 1.8.1 counts: seed, values of a batch, how much wider each is than the one before, lo, hi, counts.
GROWING = [
    (1, 50, 3.0, -65.74061584472656, 68.2647933959961, [1, 1, 1, 1, 2, 3, 15, 94, 52, 15, 5, 5, 1, 0, 3, 1]),
    (2, 7, -2.0, -4.584415912628174, 9.500898361206055, [3, 4, 8, 7, 2, 2, 0, 2]),
    (3, 1, 5.0, -232.93658447265625, 2.4124367237091064, [1, 0, 0, 3]),
    (4, 300, 1.3, -5.063887119293213, 6.885481834411621, [10, 24, 66, 156, 292, 335, 186, 95, 22, 9, 1, 4]),
]


@pytest.mark.parametrize(("seed", "size", "factor", "lo", "hi", "counts"), GROWING)
def test_dynamic_histogram_grows_as_caffe2s(seed, size, factor, lo, hi, counts):
    random, h = np.random.RandomState(seed), DynamicHistogram(len(counts))
    for k in range(4):
        h.add((random.randn(size) * factor**k).astype(f32))
    final = h.finish()
    assert (float(final.lo), float(final.hi), final.counts.tolist()) == (lo, hi, counts)


def test_dynamic_histogram_grows_by_multiples():
    h = DynamicHistogram(4)
    h.add(f32([0, 1]))
    h.add(f32([-1.5, 2.5]))
    assert (h._fine.lo, h._fine.hi) == (-2, 4)  # below to -2, then above by 3
    assert h.finish().counts.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("parts", "counts"), [([[7, 7]], [2, 0, 0, 0]), ([[7, 7], [7.5]], [2, 0, 0, 1]), ([[7], [-3], [20]], [1, 1, 0, 1])]
)
def test_dynamic_histogram_of_equal_values(parts, counts):
    h = DynamicHistogram(4)
    for part in parts:
        h.add(f32(part))
    assert h.finish().counts.tolist() == counts


def test_dynamic_histogram_of_nothing_and_of_what_is_not_finite():
    h = DynamicHistogram(4)
    h.add(np.zeros((0, 3), f32))
    empty = h.finish()
    assert (empty.lo, empty.hi, empty.counts.tolist()) == (LARGEST, -LARGEST, [0] * 4)
    h.add(f32([1, np.nan, 3]))
    assert (h.lo, h.hi, h.finish().counts.tolist()) == (1, 3, [2, 0, 0, 1])
    h.add(f32([-np.inf]))
    assert (h.lo, h.hi, h.finish().counts.sum()) == (-LARGEST, 3, 4)


def test_observer_files(tmp_path):
    lines = [
        Line(0, "Conv", 0, "y", -1.5, 2.25),
        Line(1, "Relu", 0, "z", 0.0, 2.25),
    ]
    write(tmp_path / "minmax", lines)
    assert (tmp_path / "minmax").read_text() == "0 Conv 0 y -1.5 2.25\n1 Relu 0 z 0 2.25\n"
    assert read(tmp_path / "minmax") == lines
    write(tmp_path / "hist", [lines[0]._replace(counts=np.array([1, 0, 9]))])
    (found,) = read(tmp_path / "hist")
    assert found.counts.tolist() == [1, 0, 9]
    (tmp_path / "old").write_text("0 0 y -1.5 2.25\n")
    assert read(tmp_path / "old") == [lines[0]._replace(type="")]
    (tmp_path / "old").write_text("3 0 y -1.5 2.25 2 4 5\n")
    assert read(tmp_path / "old")[0].counts.tolist() == [4, 5]
    for text in ("0 Conv 0 y 1", "0 Conv 0 y 1 2 3 4", "a b c d e f", "0 Conv 0 y 1 2 2 1 -1"):
        (tmp_path / "bad").write_text(f"0 Conv 0 y 1 2\n{text}\n")
        with pytest.raises(ParseError, match="line 2"):
            read(tmp_path / "bad")
