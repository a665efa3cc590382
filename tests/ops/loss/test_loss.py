"""Losses, scores and distances against plain definitions in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from ops.nets import run

from serverquant._base.errors import ArgumentError, ShapeError

F = np.float32
RNG = np.random.default_rng(4)
LOGITS = F(RNG.normal(0, 3, (5, 4)))
LABELS = np.int32([0, 3, 1, 1, 2])
PROBABILITIES = F(RNG.random((5, 4)))
PROBABILITIES[0, 0] = 0


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)


def softmax(x):
    e = np.exp(x.astype(np.float64))
    return e / e.sum(axis=1, keepdims=True)


def test_cross_entropies():
    rows = np.arange(5)
    want = -np.log(np.maximum(PROBABILITIES.astype(np.float64), 1e-20))
    close(run("LabelCrossEntropy", {"X": PROBABILITIES, "L": LABELS}), want[rows, LABELS])
    close(run("LabelCrossEntropy", {"X": PROBABILITIES, "L": LABELS[:, None]}), want[rows, LABELS])
    targets = F(RNG.random((5, 4)))
    close(run("CrossEntropy", {"X": PROBABILITIES, "L": targets}), (want * targets).sum(axis=1))
    with pytest.raises(ShapeError, match="label 4 at position 1 is out of range: there are 4 classes"):
        run("LabelCrossEntropy", {"X": PROBABILITIES, "L": np.int32([0, 4, 0, 0, -1])})
    with pytest.raises(ShapeError, match="one label for each of the 5 rows"):
        run("LabelCrossEntropy", {"X": PROBABILITIES, "L": LABELS[1:]})


def test_sigmoid_cross_entropies():
    x, t, w = LOGITS.astype(np.float64), PROBABILITIES.astype(np.float64), F(RNG.random((5, 4)))
    positive, negative = np.logaddexp(0, -x), np.logaddexp(0, x)
    losses = t * positive + (1 - t) * negative
    feeds = {"X": LOGITS, "T": PROBABILITIES}
    close(run("SigmoidCrossEntropyWithLogits", feeds), losses.mean(axis=1))
    close(run("SigmoidCrossEntropyWithLogits", feeds, log_D_trick=1), ((2 * t - 1) * positive).mean(axis=1))
    unjoined = -x * t + np.maximum(x, 0) * (1 - t) + (1 - t) * np.logaddexp(0, -np.abs(x))
    close(run("SigmoidCrossEntropyWithLogits", feeds, unjoined_lr_loss=1), unjoined.mean(axis=1))
    close(run("WeightedSigmoidCrossEntropyWithLogits", {**feeds, "W": w}), (losses * w).mean(axis=1))
    with pytest.raises(ArgumentError):
        run("SigmoidCrossEntropyWithLogits", feeds, log_D_trick=1, unjoined_lr_loss=1)


def test_softmax_with_loss():
    p = softmax(LOGITS)
    losses = -np.log(p[np.arange(5), LABELS])
    outputs = ("P", "loss")
    got, loss = run("SoftmaxWithLoss", {"X": LOGITS, "L": LABELS}, outputs)
    close(got, p)
    close(loss, losses.mean())
    w = F([1, 2, 0, 1, 4])
    feeds = {"X": LOGITS, "L": LABELS, "W": w}
    close(run("SoftmaxWithLoss", feeds, outputs, scale=0.5)[1], 0.5 * (losses * w).sum() / w.sum())
    close(run("SoftmaxWithLoss", feeds, outputs, average_by_batch_size=1)[1], (losses * w).sum() / 5)
    targets = F(softmax(RNG.normal(size=(5, 4))))
    close(
        run("SoftmaxWithLoss", {"X": LOGITS, "L": targets}, outputs, label_prob=1)[1],
        -(np.log(p) * targets).sum(axis=1).mean(),
    )
    with pytest.raises(ShapeError, match="label probabilities of row 0 add up to"):
        run("SoftmaxWithLoss", {"X": LOGITS, "L": targets * F(0.5)}, outputs, label_prob=1)
    wide = run("SoftmaxWithLoss", {"X": LOGITS.reshape(5, 1, 4), "L": LABELS}, outputs, axis=2)
    close(wide[1], losses.mean())


def test_scores():
    x = F([[1, 3, 3], [2, 1, 2], [0, 0, 1], [5, 1, 1]])
    labels = np.int32([2, 2, 2, 1])
    for top, want in ((1, 0.25), (2, 1.0), (3, 1.0)):
        assert run("Accuracy", {"X": x, "L": labels}, top_k=top) == want
    accuracies, amounts = run("MultiClassAccuracy", {"X": x, "L": labels}, ("A", "N"))
    close(accuracies, [0, 0, 1 / 3])
    assert (amounts.tolist(), amounts.dtype) == ([0, 1, 3], np.int32)
    p = F([0.5, 0.25, 1])
    close(run("Perplexity", {"X": p}), np.prod(p.astype(float)) ** (-1 / 3))
    close(run("AveragedLoss", {"X": x}), x.mean())
    assert run("AveragedLoss", {"X": np.zeros((0, 3), F)}) == 0


def test_criteria():
    a, b, y = F([1, 2, 3, 0]), F([2, 1, 3, 0.5]), np.int32([1, 1, -1, -1])
    want = np.maximum(0, -y * (a - b) + 0.5)
    close(run("MarginRankingCriterion", {"A": a, "B": b, "Z": y}, margin=0.5), want)
    s = F([0.5, 0.1, 0.9, 0.1])
    close(run("CosineEmbeddingCriterion", {"S": s, "Z": y}, margin=0.2), [0.5, 0.9, 0.7, 0])
    p, q = F([0.1, 0.5, 0.9]), F([0.2, 0.5, 0.3])

    def entropy(x):
        return -x * np.log(x) - (1 - x) * np.log(1 - x)

    wide = p.astype(np.float64), q.astype(np.float64)
    close(run("BernoulliJSD", {"P": p, "Q": q}), entropy(sum(wide) / 2) - (entropy(wide[0]) + entropy(wide[1])) / 2)


@pytest.mark.parametrize("shape", [(3, 5), (3, 2, 4), (7,), (0, 4)])
def test_distances(shape):
    x, y = F(RNG.normal(size=shape)), F(RNG.normal(size=shape))
    a, b = (v.astype(np.float64).reshape(shape[0], -1) if v.size else np.zeros((0, 1)) for v in (x, y))
    wants = {
        "L1Distance": np.abs(a - b).sum(axis=1),
        "SquaredL2Distance": ((a - b) ** 2).sum(axis=1) / 2,
        "DotProduct": (a * b).sum(axis=1),
        "CosineSimilarity": (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1),
    }
    for name, want in wants.items():
        np.testing.assert_allclose(run(name, {"X": x, "Z": y}), want, rtol=1e-5, atol=1e-6)
    with pytest.raises(ShapeError, match="the shape of input 0"):
        run("DotProduct", {"X": x, "Z": np.zeros((9, 9), F)})


def test_products_with_padding():
    x, y = F([[1, 2, 3, 4], [5, 6, 7, 8]]), F([[1, 10], [2, 1]])
    for feeds in ({"X": x, "Z": y}, {"X": y, "Z": x}):
        assert run("DotProductWithPadding", feeds).tolist() == [21, 16]
        assert run("DotProductWithPadding", feeds, pad_value=2.0).tolist() == [35, 46]
        assert run("DotProductWithPadding", feeds, replicate=1).tolist() == [64, 38]
