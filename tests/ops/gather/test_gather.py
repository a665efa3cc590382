"""Gather and BatchGather."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import check_rebatching, run

from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError, ShapeError


def numbers(*dims: int, dtype=np.float32) -> np.ndarray:
    return np.arange(np.prod(dims, dtype=int)).reshape(dims).astype(dtype)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_axes(axis, index_type):
    x, indices = numbers(3, 4, 5), np.array([[2, 0], [1, 1]], index_type)
    np.testing.assert_array_equal(run("Gather", {"X": x, "I": indices}, axis=axis), np.take(x, indices, axis))


def test_indices_below_0_count_from_the_end():
    x, indices = numbers(4, 3), np.array([-1, 0, -3])
    np.testing.assert_array_equal(run("Gather", {"X": x, "I": indices}), x[indices])
    np.testing.assert_array_equal(run("Gather", {"X": x, "I": indices}, axis=1, wrap_indices=1), x[:, indices])
    for args in ({"axis": 1}, {"axis": 0, "wrap_indices": 0}, {"axis": -2}):
        with pytest.raises(ServerquantError, match="index -1 at position 0"):
            run("Gather", {"X": x, "I": indices}, **args)


def test_match_outer():
    x, indices = numbers(2, 3, 4), np.array([[2, 0], [1, 1]])
    want = np.stack([x[i, indices[i]] for i in range(2)])
    np.testing.assert_array_equal(run("Gather", {"X": x, "I": indices}, axis=1, match_outer=1), want)
    np.testing.assert_array_equal(run("BatchGather", {"X": x, "I": indices}, match_outer=1), want)


def test_data_without_slices_stay_as_they_are():
    x = np.zeros((2, 0, 3), np.float32)
    assert run("Gather", {"X": x, "I": np.array([5, 7])}, axis=1).shape == (2, 0, 3)
    assert run("BatchGather", {"X": x, "I": np.array([5, 7])}).shape == (2, 0, 3)


def test_strings():
    assert run("Gather", {"X": np.array(["a", "b", "c"], object), "I": np.array([2, 2, 0])}).tolist() == [
        b"c",
        b"c",
        b"a",
    ]


def test_new_batches_need_no_plan():
    check_rebatching("Gather", lambda n: {"X": numbers(n + 2, 3), "I": np.arange(n)})
    check_rebatching("Gather", lambda n: {"X": numbers(n, 3), "I": np.array([[1, 0], [2, 2]])}, axis=1)
    check_rebatching("BatchGather", lambda n: {"X": numbers(n, 3), "I": np.array([1, 0])})
    check_rebatching("BatchGather", lambda n: {"X": numbers(n, 3), "I": np.zeros((n, 2), int)}, match_outer=1)


@pytest.mark.parametrize("bad", [3, -4])
def test_bad_indices_are_named(bad):
    with pytest.raises(ServerquantError, match=f"index {bad} at position 1"):
        run("Gather", {"X": numbers(3, 2), "I": np.array([0, bad])})


def test_refused():
    with pytest.raises(ArgumentError, match="axis"):
        run("BatchGather", {"X": numbers(3), "I": np.array([0])})
    with pytest.raises(ArgumentError, match="at least 1"):
        run("Gather", {"X": numbers(3), "I": np.array([0])}, match_outer=1)
    with pytest.raises(ShapeError, match="first 1 dims"):
        run("BatchGather", {"X": numbers(2, 3), "I": np.zeros((3, 1), int)}, match_outer=1)
    with pytest.raises(DTypeError, match="int32"):
        run("Gather", {"X": numbers(3), "I": np.array([0.0], np.float32)})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_codes_of_a_codebook(dtype):
    codebook = np.float32([[0.5, 1.5], [-2, 9]])
    a, b = np.array([[0, 3], [2, 1]], dtype), np.array([1, 1], dtype)
    first, second = run("QuantDecode", {"C": codebook, "A": a, "B": b}, ("Y", "Z"))
    np.testing.assert_array_equal(first, np.float32([[0.5, 9], [-2, 1.5]]))
    np.testing.assert_array_equal(second, np.float32([1.5, 1.5]))
    with pytest.raises(ServerquantError, match='code 4 at 1 of input 2 "B" is out of range: the codebook has 4'):
        run("QuantDecode", {"C": codebook, "A": a, "B": np.array([1, 4], dtype)}, ("Y", "Z"))
    with pytest.raises(ArgumentError, match="2 inputs of codes give as many outputs, not 1"):
        run("QuantDecode", {"C": codebook, "A": a, "B": b})
