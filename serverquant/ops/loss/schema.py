"""Schemas of losses, scores and distances."""

from __future__ import annotations

import math
from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, axis_of

Dims = tuple[int, ...]


def rows_of(dims: Dims) -> Dims:
    """(rows, elements of a row) of a tensor; one without dims is a row of its own."""
    return (dims[0], math.prod(dims[1:])) if dims else (1, 1)


def same_dims(op: Any, ins: list[Spec], *others: int) -> None:
    for i in others:
        if ins[i].dims != ins[0].dims:
            raise op.shape_error(ins, i, f"the shape of input 0, {ins[0].dims}")


def row_labels(op: Any, ins: list[Spec], rows: int) -> None:
    if ins[1].size != rows:
        raise op.shape_error(ins, 1, f"one label for each of the {rows} rows of input 0")


def row_loss_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    same_dims(op, ins, 1)
    return [(rows_of(ins[0].dims)[0],)]


def product_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    """Rows without elements are none at all."""
    dims = row_loss_shape(op, ins)
    return dims if ins[0].size else [(0,)]


def label_loss_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    rows = rows_of(ins[0].dims)[0]
    row_labels(op, ins, rows)
    return [(rows,)]


def sigmoid_loss_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    same_dims(op, ins, *range(1, len(ins)))
    return [ins[0].dims[:-1]]


def scalar_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    return [()]


def accuracy_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2:
        raise op.shape_error(ins, 0, "a matrix")
    row_labels(op, ins, ins[0].dims[0])
    return [()]


def class_accuracy_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    accuracy_shape(op, ins)
    return [(ins[0].dims[1],)] * 2


def ranking_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    for i in range(1, len(ins)):
        if ins[i].size != ins[0].size:
            raise op.shape_error(ins, i, f"as many elements as input 0 has, {ins[0].size}")
    return [ins[0].dims]


def padded_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    for spec in ins:
        if spec.ndim not in (1, 2):
            raise op.shape_error(ins, ins.index(spec), "1 or 2 dimensions")
    if ins[0].dims[0] != ins[1].dims[0] or ins[0].ndim != ins[1].ndim:
        raise op.shape_error(ins, 1, f"as many rows as input 0 has, {ins[0].dims[0]}")
    return [ins[0].dims[:1]]


def softmax_loss_shape(op: Any, ins: list[Spec]) -> list[Dims]:
    axis = axis_of(op.args.axis, ins[0].ndim)
    rows = math.prod(ins[0].dims[:axis])
    if op.args.label_prob:
        if ins[1].size != ins[0].size:
            raise op.shape_error(ins, 1, f"as many probabilities as input 0 has elements, {ins[0].size}")
    else:
        row_labels(op, ins, rows)
    if len(ins) == 3 and ins[2].size != rows:
        raise op.shape_error(ins, 2, f"one weight for each of the {rows} rows of input 0")
    return [ins[0].dims, ()]


LABELS = "label: int32, one for each row"

declare(
    "LabelCrossEntropy",
    inputs=2,
    shape=label_loss_shape,
    doc="Y = -ln(max(X[label], 1e-20)) for each row.",
    in_doc=("X: float (N, D), probabilities", LABELS),
    out_doc=("Y: (N)",),
)
declare(
    "CrossEntropy",
    inputs=2,
    shape=row_loss_shape,
    doc="Y = -sum(label * ln(max(X, 1e-20))) for each row.",
    in_doc=("X: float (N, D), probabilities", "label: float, of X's shape"),
    out_doc=("Y: (N)",),
)
declare(
    "SigmoidCrossEntropyWithLogits",
    inputs=2,
    args=[
        Arg("log_D_trick", "bool", False, "(2 * target - 1) * ln(sigmoid(logit)), for generators"),
        Arg("unjoined_lr_loss", "bool", False, "positives count as negatives too"),
    ],
    shape=sigmoid_loss_shape,
    doc="The cross entropy of the logits' sigmoids with the targets, its mean over the last axis.",
    in_doc=("logits: float tensor", "targets: float, of its shape"),
    out_doc=("xentropy: tensor without the last dim",),
)
declare(
    "WeightedSigmoidCrossEntropyWithLogits",
    inputs=3,
    shape=sigmoid_loss_shape,
    doc="SigmoidCrossEntropyWithLogits with a weight for each element.",
    in_doc=("logits: float tensor", "targets: float, of its shape", "weights: float, of its shape"),
    out_doc=("xentropy: tensor without the last dim",),
)
declare(
    "SoftmaxWithLoss",
    inputs=(2, 3),
    outputs=2,
    args=[
        Arg("axis", "int", 1, "dims from it on are normalised together; may count from the end"),
        Arg("scale", "float", 1.0, "factor of the loss"),
        Arg("label_prob", "bool", False, "labels are probabilities"),
        Arg("average_by_batch_size", "bool", False, "divided by the rows, not by the sum of weights"),
        Arg("order", "string", "NCHW", "NCHW only"),
    ],
    shape=softmax_loss_shape,
    doc="Softmax of the rows, and the mean over rows of its cross entropy with the labels.",
    in_doc=("logits: float (N, D)", "labels: int32 (N), or float (N, D)", "weight_tensor: float (N)"),
    out_doc=("softmax: tensor of logits' shape", "loss: one element without dims"),
)
declare(
    "AveragedLoss",
    inputs=1,
    shape=scalar_shape,
    doc="The mean of all elements; 0 of nothing.",
    in_doc=("input: float tensor",),
    out_doc=("output: one element without dims",),
)
declare(
    "Accuracy",
    inputs=2,
    args=[Arg("top_k", "int", 1, "a row is right when its label is among so many of the best, of equals the first")],
    shape=accuracy_shape,
    doc="The share of rows that are right.",
    in_doc=("predictions: float (N, D)", LABELS),
    out_doc=("accuracy: one element without dims",),
)
declare(
    "MultiClassAccuracy",
    inputs=2,
    outputs=2,
    shape=class_accuracy_shape,
    doc="For each class the share of its rows whose largest prediction is the class, and how many rows it has.",
    in_doc=("prediction: float (N, D)", LABELS),
    out_doc=("accuracies: float (D)", "amounts: int32 (D)"),
)
declare(
    "Perplexity",
    inputs=1,
    shape=scalar_shape,
    doc="The product of X ^ (-1/N).",
    in_doc=("probabilities: float (N)",),
    out_doc=("output: one element without dims",),
)
declare(
    "MarginRankingCriterion",
    inputs=3,
    args=[Arg("margin", "float", 1.0, "how far apart they must be")],
    shape=ranking_shape,
    doc="loss = max(0, margin - Y * (X1 - X2)).",
    in_doc=("X1: float tensor", "X2: as many", "Y: int32, 1 or -1"),
    out_doc=("loss: tensor of X1's shape",),
)
declare(
    "CosineEmbeddingCriterion",
    inputs=2,
    args=[Arg("margin", "float", 0.0, "how far from 1 the others must be")],
    shape=ranking_shape,
    doc="loss = 1 - S where Y is 1, else max(0, S - margin).",
    in_doc=("S: float tensor, similarities", "Y: int32, 1 or -1"),
    out_doc=("loss: tensor of S's shape",),
)
declare(
    "BernoulliJSD",
    inputs=2,
    shape=ranking_shape,
    doc="The Jensen-Shannon divergence of pairs of Bernoulli distributions.",
    in_doc=("T: float tensor, probabilities", "Y: as many"),
    out_doc=("L: tensor of T's shape",),
)

for _name, _doc in (
    ("L1Distance", "The sum of |X - Y| for each row."),
    ("SquaredL2Distance", "Half the sum of (X - Y)^2 for each row."),
    ("DotProduct", "The sum of X * Y for each row."),
    ("CosineSimilarity", "The cosine of the angle between rows; their norms count as at least 1e-6."),
):
    declare(
        _name,
        inputs=2,
        shape=product_shape if _name == "DotProduct" else row_loss_shape,
        doc=_doc,
        in_doc=("X: float (N, ...)", "Y: of X's shape"),
        out_doc=("Z: (N)",),
    )
declare(
    "DotProductWithPadding",
    inputs=2,
    args=[
        Arg("pad_value", "float", 0.0, "what the shorter rows go on with"),
        Arg("replicate", "bool", False, "the shorter rows are repeated instead"),
    ],
    shape=padded_shape,
    doc="The sum of X * Y for each row, the shorter rows filled up.",
    in_doc=("X: float (N, D)", "Y: float (N, E)"),
    out_doc=("Z: (N)",),
)
