"""Sequences: small examples by hand, and what they refuse."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ops.nets import bind, feed, run

from serverquant._base.errors import ArgumentError, DTypeError, NetError, ServerquantError, ShapeError
from serverquant.runtime.workspace import Workspace

L = np.int32([2, 0, 3])
X = np.arange(1, 6, dtype=np.float32)
INF = np.float32(np.inf)


# ---- rectangles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_])
def test_pack_and_unpack(dtype):
    x = np.arange(10).reshape(5, 2).astype(dtype)
    packed, mask = run("PackSegments", {"L": L, "X": x}, ["Y", "M"], return_presence_mask=1)
    assert packed.dtype == dtype
    assert mask.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    np.testing.assert_array_equal(packed[mask], x)
    assert not packed[~mask].any()
    np.testing.assert_array_equal(run("UnpackSegments", {"L": L.astype(np.int64), "X": packed}), x)


def test_pack_to_a_length():
    assert run("PackSegments", {"L": L, "X": X}, max_length=2).tolist() == [[1, 2], [0, 0], [3, 4]]
    assert run("PackSegments", {"L": L, "X": X}, max_length=4, pad_minf=1).tolist()[1:] == [[-INF] * 4, [3, 4, 5, -INF]]
    assert run("UnpackSegments", {"L": L, "X": np.ones((3, 2), np.float32)}, max_length=2).tolist() == [1] * 4


def test_new_numbers_of_segments_keep_the_plan():
    space = Workspace()
    net = bind(space, "PackSegments", {"L": L, "X": X}, ["Y", "M"], max_length=3, return_presence_mask=1)
    net.run()
    for lengths in ([5], [1, 1, 1, 2], []):
        feed(space, "L", np.int32(lengths))
        feed(space, "X", X[: sum(lengths)])
        net.run()
        assert space.fetch("M").sum(1).tolist() == [min(v, 3) for v in lengths]


def test_pack_strings():
    words = np.array([b"a", b"bb", b"c", b"d", b"e"], object)
    packed, mask = run("PackSegments", {"L": L, "X": words}, ["Y", "M"], max_length=2, return_presence_mask=1)
    assert packed.tolist() == [[b"a", b"bb"], [b"", b""], [b"c", b"d"]]
    assert run("UnpackSegments", {"L": np.int32([1, 0, 2]), "X": packed}).tolist() == [b"a", b"c", b"d"]
    assert mask.sum() == 4


def test_rnn_sequences():
    x = X.reshape(5, 1)
    packed = run("PackRNNSequence", {"X": x, "L": L})
    assert packed[..., 0].tolist() == [[1, 0, 3], [2, 0, 4], [0, 0, 5]]
    np.testing.assert_array_equal(run("UnpackRNNSequence", {"X": packed, "L": L}), x)
    full = np.ones((3, 3, 2), np.float32)
    cut = run("VariableLengthSequencePadding", {"X": full, "L": L})
    assert cut.sum((0, 2)).tolist() == [4, 0, 6]


def test_in_place():
    space = Workspace()
    bind(space, "VariableLengthSequencePadding", {"X": np.ones((3, 3, 2), np.float32), "L": L}, ["X"]).run()
    assert space.fetch("X").sum((0, 2)).tolist() == [4, 0, 6]


# ---- padding -------------------------------------------------------------------------------------------------------


def test_padding_there_and_back():
    feeds = {"X": X, "L": L, "A": np.float32([8]), "B": np.float32([9])}
    y, longer = run("AddPadding", feeds, ["Y", "N"], padding_width=1, end_padding_width=2)
    assert y.tolist() == [8, 1, 2, 9, 9, 8, 9, 9, 8, 3, 4, 5, 9, 9]
    assert longer.tolist() == [5, 3, 6]
    args = {"padding_width": 1, "end_padding_width": 2}
    back, lengths = run("RemovePadding", {"X": y, "L": longer}, ["Y", "N"], **args)
    assert (back.tolist(), lengths.tolist()) == (X.tolist(), L.tolist())
    sums = run("GatherPadding", {"X": y, "L": longer}, ["S", "E"], **args)
    assert [s.item() for s in sums] == [24, 54]
    assert run("GatherPadding", {"X": y, "L": longer}, **args) == 78


def test_one_range_without_lengths():
    assert run("AddPadding", {"X": X}).tolist() == [0, 1, 2, 3, 4, 5, 0]
    assert run("RemovePadding", {"X": X}, ["Y", "N"])[1].tolist() == [3]


def test_blocks_and_samples():
    assert run("RemoveDataBlocks", {"X": X, "I": np.int32([3, 0, 3])}).tolist() == [2, 3, 5]
    assert run("RemoveDataBlocks", {"X": X, "I": np.float64([])}).tolist() == X.tolist()
    lengths, y = run("PadEmptySamples", {"L": L, "X": X}, ["N", "Y"])
    assert (lengths.tolist(), y.tolist()) == ([2, 1, 3], [1, 2, 0, 3, 4, 5])


# ---- decoders ------------------------------------------------------------------------------------------------------


def one_hot(labels, count=4):
    return np.eye(count, dtype=np.float32)[np.array(labels).T]


def test_greedy():
    x = one_hot([[1, 1, 0, 1, 2], [3, 0, 3, 3, 0]])
    lengths, labels = run("CTCGreedyDecoder", {"X": x}, ["N", "V"])
    assert (lengths.tolist(), labels.tolist()) == ([3, 2], [1, 1, 2, 3, 3])
    lengths, labels = run("CTCGreedyDecoder", {"X": x, "L": np.int32([2, 4])}, ["N", "V"], merge_repeated=0)
    assert (lengths.tolist(), labels.tolist()) == ([2, 3], [1, 1, 3, 3, 3])


def brute_force(x):
    """Probability of every label sequence, over all paths."""
    total: dict[tuple[int, ...], float] = {}
    for path in np.ndindex(*[x.shape[1]] * len(x)):
        labels = tuple(v for v, before in zip(path, (0, *path)) if v and v != before)
        total[labels] = total.get(labels, 0) + float(np.prod(x[np.arange(len(x)), path]))
    return sorted(total.items(), key=lambda entry: -entry[1])


def test_beam_search_finds_the_most_likely_sequences():
    x = np.random.default_rng(4).random((4, 2, 3)).astype(np.float32)
    x /= x.sum(2, keepdims=True)
    lengths, labels, odds = run(
        "CTCBeamSearchDecoder", {"X": x}, ["N", "V", "P"], beam_width=1000, num_candidates=3, prune_threshold=0.0
    )
    want = [brute_force(x[:, i].astype(float))[:3] for i in range(2)]
    assert labels.tolist() == [label for item in want for found, _ in item for label in found]
    assert lengths.tolist() == [len(found) for item in want for found, _ in item]
    np.testing.assert_allclose(odds, [p for item in want for _, p in item], rtol=1e-5)


def test_beam_search_without_time():
    x = one_hot([[1], [2]])
    lengths, labels, odds = run("CTCBeamSearchDecoder", {"X": x, "L": np.int32([0, 1])}, ["N", "V", "P"])
    assert (lengths.tolist(), labels.tolist(), odds.tolist()) == ([0, 1], [2], [0, 1])


def test_viterbi():
    rng = np.random.default_rng(2)
    x, t = rng.normal(0, 1, (4, 3)).astype(np.float32), rng.normal(0, 1, (3, 3)).astype(np.float32)

    def score(path):
        return sum(x[i, v] for i, v in enumerate(path)) + sum(t[a, b] for a, b in pairwise(path))

    assert tuple(run("ViterbiPath", {"X": x, "T": t})) == max(np.ndindex(3, 3, 3, 3), key=score)
    path = np.int32([0, 2, 1, 1])
    swapped = run("SwapBestPath", {"X": x, "P": path})
    assert swapped.argmax(1).tolist() == path.tolist()
    np.testing.assert_array_equal(np.sort(swapped, 1), np.sort(x, 1))


THREE = np.ones((3, 2, 2), np.float32)
MANY = np.int32([100000] + [0] * 99999)


@pytest.mark.parametrize(
    ("op", "feeds", "outputs", "args", "error", "says"),
    [
        ("PackSegments", [np.int32([2, 2]), X], 1, {}, ServerquantError, "add up to 4, but there are 5 rows"),
        ("PackSegments", [np.int32([6, -1]), X], 1, {}, ServerquantError, "length -1 at position 1 is negative"),
        ("PackSegments", [np.int64([1 << 60]), X], 1, {}, ServerquantError, "too large"),
        ("PackSegments", [np.float32([5]), X], 1, {}, DTypeError, "int32"),
        ("PackSegments", [MANY, np.zeros(100000, np.uint8)], 1, {}, ServerquantError, "out of all proportion"),
        ("PackRNNSequence", [np.zeros((100000, 1), np.float32), MANY], 1, {}, ShapeError, "out of all proportion"),
        ("PackSegments", [L, X], 1, {"max_length": -2}, ArgumentError, "max_length is -2"),
        ("PackSegments", [L, X], 2, {}, ArgumentError, "two outputs with return_presence_mask"),
        ("UnpackSegments", [L, THREE], 1, {}, ServerquantError, "a length is 3, but segments have 2 rows"),
        ("UnpackSegments", [L, THREE], 1, {"max_length": 3}, ArgumentError, "max_length is 3, but segments have 2"),
        ("UnpackSegments", [L[:2], THREE], 1, {}, ShapeError, "the first of 2"),
        ("PackRNNSequence", [X.reshape(5, 1), L[:2]], 1, {}, ShapeError, "add up to 2"),
        ("UnpackRNNSequence", [THREE, np.int32([4, 0])], 1, {}, ShapeError, "a length is 4"),
        ("AddPadding", [X, L[:2]], 1, {}, ShapeError, "add up to 2, but there are 5"),
        ("AddPadding", [X, L, np.float32([1, 2])], 1, {}, ShapeError, "as many elements as a row"),
        ("AddPadding", [X, L, np.int32([1])], 1, {}, DTypeError, "float"),
        ("AddPadding", [X], 1, {"padding_width": -1}, ArgumentError, "padding_width is -1"),
        ("RemovePadding", [X, np.int32([1, 4])], 1, {}, ShapeError, "length 1 at position 0 is less than the padding"),
        ("RemovePadding", [X[:1]], 1, {}, ShapeError, "2 rows or more"),
        ("GatherPadding", [X > 0, np.int32([5])], 1, {}, DTypeError, "float"),
        ("RemoveDataBlocks", [X, np.int32([5])], 1, {}, ShapeError, "index 5 at position 0"),
        ("PadEmptySamples", [L, X[:4]], 2, {}, ShapeError, "add up to 5, but there are 4"),
        ("PadEmptySamples", [L, X], 1, {}, NetError, "as many outputs as inputs"),
        ("CTCGreedyDecoder", [THREE, np.int32([4, 1])], 2, {}, ShapeError, "a length is 4"),
        ("CTCBeamSearchDecoder", [THREE], 2, {"beam_width": 1, "num_candidates": 2}, ArgumentError, "no more than"),
        ("ViterbiPath", [THREE[0], THREE[0, :1]], 1, {}, ShapeError, "expected 2 x 2"),
        ("SwapBestPath", [THREE[0], np.int32([0, 2])], 1, {}, ShapeError, "label 2 at position 1"),
    ],
)
def test_refused(op, feeds, outputs, args, error, says):
    with pytest.raises(error, match=says):
        run(op, {f"i{k}": v for k, v in enumerate(feeds)}, [f"y{k}" for k in range(outputs)], **args)
