"""Reductions of segments: every instruction set and thread count against the plain rules."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

RNG = np.random.default_rng(8)
f32 = np.float32
LENGTHS = np.int32([2, 0, 1, 5, 0, 3])
IDS = np.repeat(np.arange(6), LENGTHS)


def plain(x, weights, kind):
    """One segment's rows, in order; every operation rounds to single precision."""
    columns = x.shape[1:]
    if kind == "Max":
        out = x[0].copy() if len(x) else np.zeros(columns, f32)
        for row in x[1:]:
            out = np.where(out < row, row, out)
        return out
    out = np.zeros(columns, f32)
    for row, weight in zip(x, weights):
        out = out + (weight * row if kind == "WeightedSum" else row)
    return out * f32(1 / len(x)) if kind == "Mean" and len(x) else out


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max", "WeightedSum"])
@pytest.mark.parametrize("columns", [(), (1,), (7,), (3, 11)])
def test_lengths(setting, kind, columns):
    x = RNG.normal(0, 3, (LENGTHS.sum(), *columns)).astype(f32)
    x[4:6] = np.nan  # in front of its segment, and in the middle
    weights = RNG.normal(0, 1, len(x)).astype(f32)
    feeds = {"X": x, **({"W": weights} if kind == "WeightedSum" else {}), "L": LENGTHS}
    want = np.stack([plain(x[s == IDS], weights[s == IDS], kind) for s in range(6)])
    np.testing.assert_array_equal(run(f"Lengths{kind}", feeds), want)


@pytest.mark.parametrize("kind", ["Sum", "Mean", "WeightedSum"])
@pytest.mark.parametrize("sparse", ["", "Sparse"])
@pytest.mark.parametrize("wide", [np.int32, np.int64])
def test_unsorted(setting, kind, sparse, wide):
    table = RNG.normal(0, 3, (9 if sparse else 20, 5)).astype(f32)
    rows = RNG.integers(0, 9, 20) if sparse else np.arange(20)
    ids = RNG.choice([0, 1, 4, 6], 20).astype(np.int32)
    ids[3] = 6
    weights = RNG.normal(0, 1, 20).astype(f32)
    feeds = {"X": table}
    feeds |= {"W": weights} if kind == "WeightedSum" else {}
    feeds |= {"I": rows.astype(wide)} if sparse else {}
    want = np.stack([plain(table[rows[ids == s]], weights[ids == s], kind) for s in range(9)])
    got = run(f"{sparse}UnsortedSegment{kind}", {**feeds, "S": ids})
    np.testing.assert_array_equal(got, want[:7])
    np.testing.assert_array_equal(run(f"{sparse}UnsortedSegment{kind}", {**feeds, "S": ids}, num_segments=9), want)


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max", "LogSumExp", "LogMeanExp"])
def test_ranges(setting, kind):
    x = RNG.normal(0, 2, (11, 6)).astype(f32)
    ids = np.int32([0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3])
    got = run(f"SortedSegmentRange{kind}", {"X": x, "S": ids})
    for s in range(4):
        own = x[ids == s].astype(float)
        want = {
            "Sum": own.sum(0),
            "Mean": own.mean(0),
            "Max": own.max(0),
            "LogSumExp": np.log(np.exp(own).sum(0)),
            "LogMeanExp": np.log(np.exp(own).mean(0)),
        }[kind]
        np.testing.assert_allclose(got[s], want, rtol=1e-5, atol=1e-5)


FIRST: list[bytes] = []


def test_all_settings_give_the_same_bytes(setting):
    x = np.random.default_rng(1).normal(0, 2, (300, 33)).astype(f32)
    ids = np.repeat(np.arange(30), 10).astype(np.int32)
    got = [run(f"SortedSegmentRange{kind}", {"X": x, "S": ids}).tobytes() for kind in ("Mean", "LogSumExp", "Max")]
    FIRST.extend(got if not FIRST else [])
    assert got == FIRST
