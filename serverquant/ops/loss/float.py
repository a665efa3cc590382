"""Losses and scores of float predictions: numpy bodies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.kernels.softmax import _softmax
from serverquant.ops._numeric import exp, log, log_one_more, log_safe, sum_all, sum_rows
from serverquant.ops.loss.schema import rows_of
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of

ONE = np.float32(1)


def as_rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(rows_of(x.shape))


def checked_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """The labels in one row; ShapeError for one that is no class."""
    labels = labels.ravel()
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        raise ShapeError(f"label {labels[bad[0]]} at position {bad[0]} is out of range: there are {classes} classes")
    return labels


@register("LabelCrossEntropy")
class LabelCrossEntropy(PythonOperator):
    """-ln of the label's probability."""

    takes = ("float", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = as_rows(inputs[0])
        labels = checked_labels(inputs[1], x.shape[1])
        outputs[0][...] = -log_safe(x[np.arange(len(x)), labels])


@register("CrossEntropy")
class CrossEntropy(PythonOperator):
    """Cross entropy with probabilities."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0][...] = -sum_rows(as_rows(inputs[1]) * log_safe(as_rows(inputs[0])))


def sigmoid_losses(logit: np.ndarray, target: np.ndarray, args: Any) -> np.ndarray:
    """Minus the losses, element by element, in double precision."""
    above = np.where(logit >= 0, logit, np.float32(0)).astype(np.float64)
    rest = log_one_more(exp(-np.abs(logit)))
    logit, target = logit.astype(np.float64), target.astype(np.float64)
    if getattr(args, "log_D_trick", False):
        return (2 * target - 1) * (logit - above - rest)
    if getattr(args, "unjoined_lr_loss", False):
        return logit * target + (target - 1) * above - (1 - target) * rest
    return logit * target - above - rest


@register("SigmoidCrossEntropyWithLogits", "WeightedSigmoidCrossEntropyWithLogits")
class SigmoidCrossEntropy(PythonOperator):
    """Means over the last axis."""

    takes = "float"

    def setup(self) -> None:
        if getattr(self.args, "log_D_trick", False) and self.args.unjoined_lr_loss:
            raise ArgumentError("arguments log_D_trick and unjoined_lr_loss cannot be set together")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        losses = sigmoid_losses(inputs[0], inputs[1], self.args).astype(np.float32)
        if len(inputs) == 3:
            losses = losses * inputs[2]
        columns = inputs[0].shape[-1] if inputs[0].ndim else 1
        if outputs[0].size:
            sums = sum_rows(losses.reshape(outputs[0].size, columns))
            with np.errstate(invalid="ignore"):  # rows without elements have no mean
                outputs[0][...] = (-sums / np.float32(columns)).reshape(outputs[0].shape)


@register("SoftmaxWithLoss")
class SoftmaxWithLoss(PythonOperator):
    """Softmax of rows and their mean loss."""

    def setup(self) -> None:
        if self.args.order != "NCHW":
            raise ArgumentError(f"argument order must be NCHW, not {self.args.order!r}")
        if self.args.scale < 0:
            raise ArgumentError(f"argument scale is {self.args.scale}, but must not be negative")

    def check_types(self, ins: list[Spec]) -> None:
        self.expect(ins, 0, "float")
        self.expect(ins, 1, "float" if self.args.label_prob else "int32")
        if len(ins) == 3:
            self.expect(ins, 2, "float")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        axis = axis_of(self.args.axis, inputs[0].ndim)
        rows = math.prod(inputs[0].shape[:axis])
        columns = math.prod(inputs[0].shape[axis:])
        probability = np.empty((rows, columns), np.float32)
        _softmax.py_softmax_f32(np.ascontiguousarray(inputs[0].reshape(rows, columns)), probability)
        weights = inputs[2].ravel() if len(inputs) == 3 else np.ones(rows, np.float32)
        if self.args.label_prob:
            self.check_probabilities(inputs[1].reshape(rows, columns))
            losses = -sum_rows(inputs[1].reshape(rows, columns) * log_safe(probability)) * weights
        else:
            labels = checked_labels(inputs[1], columns)
            losses = -log_safe(probability[np.arange(rows), labels]) * weights
        total = np.float32(rows) if self.args.average_by_batch_size else sum_all(weights)
        outputs[0][...] = probability.reshape(outputs[0].shape)
        outputs[1][...] = sum_all(losses) * np.float32(self.args.scale) / total if total > 0 else 0


    @staticmethod
    def check_probabilities(labels: np.ndarray) -> None:
        """The probabilities of a row add up to 1."""
        if np.any(bad := ~(labels >= 0)):
            row, column = np.argwhere(bad)[0]
            raise ShapeError(f"label probability {labels[row, column]} of row {row} is negative")
        bad = np.abs(sum_rows(labels) - ONE) >= np.float32(1e-5)
        if np.any(bad):
            row = np.flatnonzero(bad)[0]
            raise ShapeError(f"label probabilities of row {row} add up to {sum_rows(labels)[row]}, but must to 1")


@register("AveragedLoss")
class AveragedLoss(PythonOperator):
    """The mean of everything."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        size = inputs[0].size
        outputs[0][...] = sum_all(inputs[0]) * (ONE / np.float32(size)) if size else 0


@register("Accuracy")
class Accuracy(PythonOperator):
    """The share of rows whose label is among the best."""

    takes = ("float", "int32")

    def setup(self) -> None:
        if self.args.top_k < 1:
            raise ArgumentError(f"argument top_k is {self.args.top_k}, but must be at least 1")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0]
        labels = checked_labels(inputs[1], x.shape[1])
        score = x[np.arange(len(x)), labels][:, None]
        better = (x > score) | ((x == score) & (np.arange(x.shape[1]) < labels[:, None]))
        right = np.count_nonzero(better.sum(axis=1) < self.args.top_k)
        outputs[0][...] = np.float32(right) / np.float32(len(x)) if len(x) else 0


@register("MultiClassAccuracy")
class MultiClassAccuracy(PythonOperator):
    """The share of right rows for each class."""

    takes = ("float", "int32")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.FLOAT if i == 0 else dtypes.INT32), TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        x = inputs[0]
        labels = checked_labels(inputs[1], x.shape[1])
        amounts = np.bincount(labels, minlength=x.shape[1])
        right = np.bincount(labels[np.argmax(x, axis=1) == labels], minlength=x.shape[1]) if len(x) else amounts
        outputs[0][...] = right.astype(np.float32) / np.maximum(amounts, 1).astype(np.float32)
        outputs[1][...] = amounts


@register("Perplexity")
class Perplexity(PythonOperator):
    """e to the mean of -ln X."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        outputs[0][...] = exp(-sum_all(log(inputs[0])) / np.float32(max(inputs[0].size, 1)))


@register("MarginRankingCriterion")
class MarginRankingCriterion(PythonOperator):
    """How far pairs are from being in order."""

    takes = ("float", "float", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        a, b, order = (v.reshape(inputs[0].shape) for v in inputs)
        outputs[0][...] = np.maximum(-order.astype(np.float32) * (a - b) + np.float32(self.args.margin), np.float32(0))


@register("CosineEmbeddingCriterion")
class CosineEmbeddingCriterion(PythonOperator):
    """How far similarities are from what they should be."""

    takes = ("float", "int32")

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        s, wanted = inputs[0], inputs[1].reshape(inputs[0].shape)
        apart = np.maximum(s - np.float32(self.args.margin), np.float32(0))
        outputs[0][...] = np.where(wanted == 1, ONE - s, apart)


def bernoulli_entropy(p: np.ndarray) -> np.ndarray:
    q = ONE - p
    return -p * log_safe(p) - q * log_safe(q)


@register("BernoulliJSD")
class BernoulliJSD(PythonOperator):
    """The entropy of the middle less the mean of the entropies."""

    takes = "float"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        t, y = inputs[0], inputs[1].reshape(inputs[0].shape)
        half = np.float32(0.5)
        apart = half * (bernoulli_entropy(t) + bernoulli_entropy(y))
        outputs[0][...] = bernoulli_entropy(half * (t + y)) - apart
