"""Operators on lengths and ids: small examples by hand, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant._base.errors import ArgumentError, DTypeError, NetError, ServerquantError, ShapeError

L = np.int32([2, 0, 3])
WORDS = np.array([b"a", b"b", b"c", b"d", b"e"], object)


@pytest.mark.parametrize(
    ("op", "args", "want"),
    [
        ("LengthsToSegmentIds", {}, [0, 0, 2, 2, 2]),
        ("LengthsToRanges", {}, [[0, 2], [2, 0], [2, 3]]),
        ("LengthsToOffsets", {}, [0, 2, 2]),
        ("LengthsToOffsets", {"include_last_offset": 1}, [0, 2, 2, 5]),
        ("LengthsRangeFill", {}, [0, 1, 0, 1, 2]),
        ("LengthsSplit", {"n_split": 2}, [1, 1, 0, 0, 2, 1]),
    ],
)
def test_in_other_words(op, args, want):
    got = run(op, {"L": L}, **args)
    assert got.dtype == np.int32
    assert got.tolist() == want


def test_no_lengths():
    none = {"L": np.int32([])}
    assert run("LengthsToSegmentIds", none).shape == (0,)
    assert run("LengthsToRanges", none).shape == (0, 2)
    assert run("LengthsToOffsets", none).shape == (0,)
    assert run("LengthsTile", {"X": np.zeros((0, 3)), **none}).shape == (0, 3)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 0.3])
def test_weights(power):
    got = run("LengthsToWeights", {"L": L.astype(np.int64)}, power=power)
    np.testing.assert_allclose(got, 1 / np.repeat([2.0, 3.0], [2, 3]) ** power, rtol=1e-6)


def test_shape():
    assert run("LengthsToShape", {"L": np.int32([4, 4, 4])}).tolist() == [3, 4]
    with pytest.raises(ShapeError, match="length 3 at position 2 is not the first one's, 2"):
        run("LengthsToShape", {"L": np.int32([2, 2, 3])})


def test_ids():
    ids = {"S": np.int64([1, 1, 4])}
    assert run("SegmentIdsToLengths", ids).tolist() == [0, 2, 0, 0, 1]
    assert run("SegmentIdsToRanges", ids).tolist() == [[0, 0], [0, 2], [2, 0], [2, 0], [2, 1]]
    data = {**ids, "X": np.zeros((6, 2), np.float32)}
    assert run("SegmentIdsToLengths", data).tolist() == [0, 2, 0, 0, 1, 0]
    assert run("SegmentIdsToRanges", data).tolist()[-1] == [0, 0]


def test_rows():
    x = np.arange(10).reshape(5, 2)
    assert run("LengthsTile", {"X": x[:3], "L": L}).tolist() == [x[0].tolist()] * 2 + [x[2].tolist()] * 3
    got = run("LengthsGather", {"X": WORDS, "L": L, "I": np.int32([2, 1, 0])})
    assert got.tolist() == [b"c", b"d", b"e", b"a", b"b"]
    padded = run("LengthsPad", {"X": x, "L": L}, target_length=3, padding_value=-7.0)
    assert padded[:, 0].tolist() == [0, 2, -7, -7, -7, -7, 4, 6, 8]
    assert padded.dtype == np.int64


def test_top_k():
    x = np.float32([1, 3, 5, 2, 5])
    values, indices = run("LengthsTopK", {"X": x, "L": L}, ["V", "I"], k=2)
    assert values.tolist() == [[3, 1], [0, 0], [5, 5]]
    assert indices.tolist() == [[1, 0], [-1, -1], [0, 2]]


# ---- partitions ----------------------------------------------------------------------------------------------------

KEYS = np.int64([5, -1, 4, 0, 7])


def test_partition_and_back():
    names = ["k0", "w0", "k1", "w1", "k2", "w2"]
    parts = run("Partition", {"K": KEYS, "W": WORDS}, names, pack_first_input=1)
    assert [p.tolist() for p in parts[::2]] == [[0], [1, 2], [1, -1]]
    assert [p.tolist() for p in parts[1::2]] == [[b"d"], [b"c", b"e"], [b"a", b"b"]]
    back = run("GatherByKey", {"K": KEYS, **{f"p{i}": p for i, p in enumerate(parts[1::2])}})
    assert back.tolist() == WORDS.tolist()


def test_partition_with_lengths():
    got = run("LengthsPartition", {"L": L, "K": KEYS}, ["l0", "k0", "l1", "k1"])
    assert [g.tolist() for g in got] == [[0, 0, 2], [4, 0], [2, 0, 1], [5, -1, 7]]


def test_partition_of_a_table_of_keys():
    keys = np.int32([[1, 2], [3, 4]])
    rows = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    got = run("Partition", {"K": keys, "X": rows}, ["k0", "x0", "k1", "x1"])
    assert got[0].tolist() == [2, 4]
    np.testing.assert_array_equal(got[3], rows[:, 0])


@pytest.mark.parametrize(
    ("op", "feeds", "outputs", "args", "error", "says"),
    [
        ("LengthsToSegmentIds", [np.int32([1, -2])], 1, {}, ShapeError, "length -2 at position 1 is negative"),
        ("LengthsToSegmentIds", [np.int64([1])], 1, {}, DTypeError, "int32"),
        ("LengthsToRanges", [np.int32([[1]])], 1, {}, ShapeError, "1 dimension"),
        ("LengthsToShape", [np.int32([])], 1, {}, ShapeError, "1 length or more"),
        ("SegmentIdsToLengths", [np.int32([0, 2, 1])], 1, {}, ShapeError, "segment id 1 at position 2"),
        ("SegmentIdsToLengths", [np.int32([-1])], 1, {}, ShapeError, "segment id -1 at position 0"),
        ("SegmentIdsToLengths", [np.int64([0, 1 << 40])], 1, {}, ShapeError, "would make an output"),
        ("SegmentIdsToRanges", [np.int32([3]), np.zeros((2, 2))], 1, {}, ShapeError, "for data of 2 rows"),
        ("LengthsTile", [np.zeros((2, 2)), L], 1, {}, ShapeError, "3 rows, one for each length"),
        ("LengthsGather", [WORDS, L, np.int32([3])], 1, {}, ShapeError, "index 3 at position 0 is out of range for 3"),
        ("LengthsGather", [WORDS, L, np.int32([-1])], 1, {}, ShapeError, "index -1"),
        ("LengthsGather", [WORDS[:4], L, np.int32([0])], 1, {}, ShapeError, "add up to 5, but there are 4 rows"),
        ("LengthsPad", [np.zeros(5), L], 1, {"target_length": 2}, ShapeError, "length 3 at position 2 is more than"),
        ("LengthsPad", [np.zeros(5), L], 1, {}, ArgumentError, "target_length is -1"),
        ("LengthsTopK", [np.zeros(5, np.float32), L], 2, {}, ArgumentError, "k is -1"),
        ("LengthsSplit", [L], 1, {}, ArgumentError, "needs a positive argument n_split"),
        ("LengthsSplit", [L, np.int32([0])], 1, {}, ArgumentError, "n_split 0 must be positive"),
        ("LengthsSplit", [L, np.int32([2**31 - 1])], 1, {}, ArgumentError, "all parts fit"),
        ("Partition", [KEYS, WORDS], 3, {}, NetError, "a multiple of 2 outputs for 2 inputs, not 3"),
        ("Partition", [KEYS, WORDS[:3]], 4, {}, ShapeError, "the dimensions of the keys"),
        ("LengthsPartition", [L, KEYS[:3]], 4, {}, ShapeError, "add up to 5, but there are 3"),
        ("GatherByKey", [KEYS, WORDS[:1], WORDS[:1]], 1, {}, ShapeError, "part 0 has 1 rows, but 2 keys go there"),
    ],
)
def test_refused(op, feeds, outputs, args, error, says):
    with pytest.raises(error, match=says) as found:
        run(op, {f"i{k}": v for k, v in enumerate(feeds)}, [f"y{k}" for k in range(outputs)], **args)
    assert isinstance(found.value, ServerquantError)
