"""Matrix products against numpy, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import bind, run

from serverquant._base.errors import ArgumentError, OperatorError, ShapeError
from serverquant.runtime.workspace import Workspace

RNG = np.random.default_rng(11)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def close(got, a, b):
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert got.shape == (expected.shape or (1,))
    np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-5, atol=1e-5)


def turned(a, turn):
    return np.ascontiguousarray(np.swapaxes(a, -1, -2)) if turn else a


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("m", [1, 5, 40])
def test_batch(trans_a, trans_b, m):
    """Few rows read B where it lies, many from panels."""
    a, b = floats(3, 2, m, 17), floats(3, 2, 17, 70)
    got = run("BatchMatMul", {"A": turned(a, trans_a), "B": turned(b, trans_b)}, trans_a=trans_a, trans_b=trans_b)
    close(got, a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 5), (3, 5, 6)),
        ((3, 4, 5), (5, 6)),
        ((2, 1, 4, 5), (3, 5, 6)),
        ((2, 3, 4, 5), (1, 3, 5, 6)),
        ((5,), (3, 5, 6)),
        ((3, 4, 5), (5,)),
        ((5,), (5,)),
        ((0, 4, 5), (0, 5, 6)),
        ((2, 4, 0), (2, 0, 3)),
        ((2, 3, 30, 40), (3, 40, 7)),
    ],
)
def test_batch_shapes(a, b):
    a, b = floats(*a), floats(*b)
    close(run("BatchMatMul", {"A": a, "B": b}, broadcast=1), a, b)


def test_new_matrices_and_batches():
    """B's panels are kept while it stays, and made anew when it changes."""
    space = Workspace()
    net = bind(space, "BatchMatMul", {"A": floats(2, 30, 8), "B": floats(2, 8, 9)})
    for count, new_b in ((2, True), (2, False), (2, True), (5, True), (1, True), (1, False)):
        a, b = floats(count, 30, 8), floats(count, 8, 9) if new_b else space.fetch("B")
        space.get("A").feed(a)
        if new_b:
            space.get("B").feed(b)
        net.run()
        close(space.fetch("Y"), a, b)


@pytest.mark.parametrize(
    ("a", "b", "axes"),
    [
        ((2, 3, 4), (12, 5), (1, 1)),
        ((2, 3, 4), (4, 5), (2, 1)),
        ((4,), (4, 3), (0, 1)),
        ((3, 4), (2, 2, 5), (-1, 2)),
    ],
)
def test_matmul_cuts_at_axes(a, b, axes):
    a, b = floats(*a), floats(*b)
    first, second = a.reshape(int(np.prod(a.shape[: axes[0]])), -1), b.reshape(int(np.prod(b.shape[: axes[1]])), -1)
    close(run("MatMul", {"A": a, "B": b}, axis_a=axes[0], axis_b=axes[1]), first, second)
    like = floats(first.shape[0], 1, second.shape[1])
    assert run("MatMul", {"A": a, "B": b, "like": like}, axis_a=axes[0], axis_b=axes[1]).shape == like.shape


def test_pairs():
    xs = {f"x{i}": floats(4, 6) for i in range(3)}
    got = run("ConcatBatchMatMulBatchGatherOp", {"indices": np.int32([1, 5, 8]), **xs})
    x0, x1, x2 = xs.values()
    expected = np.stack([(x0 * x1).sum(1), (x1 * x2).sum(1), (x2 * x2).sum(1)], axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(OperatorError, match="index 9 is out of range for 9 pairs"):
        run("ConcatBatchMatMulBatchGatherOp", {"indices": np.int32([9]), **xs})
    with pytest.raises(ShapeError, match="as input 1 has"):
        run("ConcatBatchMatMulBatchGatherOp", {"indices": np.int32([0]), "a": floats(2, 3), "b": floats(2, 4)})


@pytest.mark.parametrize(
    ("a", "b", "args", "words"),
    [
        ((2, 3), (4, 5), {}, "matrices of 2 x 3 and 4 x 5"),
        ((2, 3), (4, 3), {"trans_a": 1}, "matrices of 3 x 2 and 4 x 3"),
        ((2, 3, 4), (3, 4, 5), {}, "broadcast=1 takes such"),
        ((2, 3, 4), (3, 4, 5), {"broadcast": 1}, "do not broadcast"),
        ((), (3,), {}, "at least one dimension"),
    ],
)
def test_batch_refuses(a, b, args, words):
    with pytest.raises(ShapeError, match=words):
        run("BatchMatMul", {"A": floats(*a), "B": floats(*b)}, **args)


def test_matmul_refuses():
    with pytest.raises(ShapeError, match="matrices of 2 x 3 and 2 x 3"):
        run("MatMul", {"A": floats(2, 3), "B": floats(2, 3)})
    with pytest.raises(ArgumentError, match="axis_a is 2"):
        run("MatMul", {"A": floats(2, 3), "B": floats(3, 2)}, axis_a=2)
    with pytest.raises(ShapeError, match="as many elements as the product"):
        run("MatMul", {"A": floats(2, 3), "B": floats(3, 2), "like": floats(5)})
