"""Distances, products and losses of rows."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(2, 4, 3, 2)).astype(np.float32)


def run(op_type, *inputs, n_out=1, **kwargs):
    workspace.ResetWorkspace()
    names = [f"x{i}" for i in range(len(inputs))]
    for name, value in zip(names, inputs):
        workspace.FeedBlob(name, value)
    outputs = [f"y{i}" for i in range(n_out)]
    workspace.RunOperatorOnce(core.CreateOperator(op_type, names, outputs, **kwargs))
    found = [workspace.FetchBlob(name) for name in outputs]
    return found if n_out > 1 else found[0]


@pytest.mark.parametrize(
    ("op_type", "of"),
    [
        ("L1Distance", lambda x, y: np.abs(x - y).sum()),
        ("SquaredL2Distance", lambda x, y: ((x - y) ** 2).sum() / 2),
        ("DotProduct", lambda x, y: (x * y).sum()),
        ("CosineSimilarity", lambda x, y: (x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y)),
    ],
)
def test_of_rows(op_type, of):
    assert run(op_type, X, Y) == pytest.approx([of(x, y) for x, y in zip(X, Y)], rel=1e-5)
    assert run(op_type, X[:0], Y[:0]).shape == (0,)
    with pytest.raises(ShapeError, match='input 1 "x1"'):
        run(op_type, X, Y[:, :2])


def test_padded_products():
    x, y = np.float32([[1, 2, 3, 4]]), np.float32([[5, 6]])
    assert run("DotProductWithPadding", x, y, pad_value=10.0) == [5 + 12 + 30 + 40]
    assert run("DotProductWithPadding", x, y, replicate=1) == [5 + 12 + 15 + 24]
    assert run("DotProductWithPadding", x, y[:, :1].repeat(3, axis=1), replicate=1) == [30]


def test_losses():
    p = np.float32([[0.5, 0.25, 0], [0.1, 0.2, 0.7]])
    assert run("LabelCrossEntropy", p, np.int32([0, 2])) == pytest.approx([-np.log(0.5), -np.log(0.7)])
    assert run("LabelCrossEntropy", p, np.int32([[2], [2]]))[0] == pytest.approx(46.0517)
    assert run("CrossEntropy", p, np.float32([[1, 0, 0], [0.5, 0.5, 0]]))[1] == pytest.approx(1.9560115)
    assert run("AveragedLoss", p) == pytest.approx(p.mean())
    assert run("AveragedLoss", p[:0]) == 0
    with pytest.raises(ArgumentError, match="label 3 of row 1 is none of 0 to 2"):
        run("LabelCrossEntropy", p, np.int32([0, 3]))


def test_flexible_top_k():
    x = np.float32([[1, 3, 2], [4, 4, 0]])
    values, indices = run("FlexibleTopK", x, np.int64([2, 1]), n_out=2)
    assert (values.tolist(), indices.tolist()) == ([3, 2, 4], [1, 2, 0])
    with pytest.raises(ArgumentError, match="k of row 1 is 4; expected 1 to 3"):
        run("FlexibleTopK", x, np.int64([1, 4]), n_out=2)
