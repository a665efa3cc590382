"""Schemas and shape rules of the reductions of segments."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims

WORDS = {
    "Sum": "the sum of its rows",
    "Mean": "the mean of its rows; 0 without any",
    "Max": "the largest of its rows, column by column; 0 without any",
    "WeightedSum": "the sum of its rows, each times its weight",
    "LogSumExp": "log(sum(exp(row))), column by column",
    "LogMeanExp": "log(mean(exp(row))), column by column",
}
GRAD = Arg("grad_on_weights", "bool", False, "for training; has no effect")
WEIGHTS = "SCALARS: float, a weight for each row"
OUT = ["OUTPUT: float, segments x ..., as DATA"]


def check_inputs(op: Any, ins: list[Spec]) -> None:
    """ShapeError unless the data has rows, and ids, indices and weights are vectors, one for each row that is added."""
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")
    for i in range(1, len(ins)):
        if ins[i].ndim != 1:
            raise op.shape_error(ins, i, "1 dimension")
    by_lengths = op.type.startswith("Lengths")
    entries = ins[-2].dims[0] if op.type.startswith("Sparse") else ins[0].dims[0]
    for i in range(1, len(ins) - by_lengths):
        if ins[i].dims[0] != entries:
            raise op.shape_error(ins, i, f"{entries} elements, one for each row")


def lengths_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: one row for each length."""
    check_inputs(op, ins)
    return [(ins[-1].dims[0], *ins[0].dims[1:])]


def ids_dims(op: Any, ins: list[Spec]) -> list[Dims] | None:
    """Shape rule: as many rows as num_segments says; else the ids tell."""
    check_inputs(op, ins)
    wanted = getattr(op.args, "num_segments", -1)
    return None if wanted < 0 else [(wanted, *ins[0].dims[1:])]


def front_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: the first dimensions are gone."""
    front = op.args.num_reduce_dim
    if not 0 <= front <= ins[0].ndim:
        raise ArgumentError(f"argument num_reduce_dim is {front}, but DATA has {ins[0].ndim} dimensions")
    if ins[1].dims != ins[0].dims[:front]:
        raise op.shape_error(ins, 1, f"the first dimensions of DATA, {ins[0].dims[:front]}")
    return [ins[0].dims[front:]]


def _segments(reduction: str, weighted: bool) -> None:
    """The four forms by ids: sorted or not, of all rows or of those that indices name."""
    weights = [WEIGHTS] if weighted else []
    args = [GRAD] if weighted else []
    for sparse in (False, True):
        named = ["INDICES: int32 or int64, row of DATA for each entry"] if sparse else []
        of = "rows that INDICES name" if sparse else "rows"
        for is_sorted in (True, False):
            number = Arg("num_segments", "int", -1, "number of segments; -1: the largest id and one")
            declare(
                f"{'Sparse' if sparse else ''}{'Sorted' if is_sorted else 'Unsorted'}Segment{reduction}",
                inputs=2 + weighted + sparse,
                args=args if is_sorted else [*args, number],
                shape=ids_dims,
                doc=f"Groups {of} by segment id and gives for each segment {WORDS[reduction]}. Ids "
                + ("start at 0, and each is its predecessor or one more." if is_sorted else "may come in any order."),
                in_doc=["DATA: float, n x ...", *weights, *named, "SEGMENT_IDS: int32, a segment for each row"],
                out_doc=OUT,
            )


for _reduction in ("Sum", "Mean", "WeightedSum"):
    _segments(_reduction, _reduction == "WeightedSum")
for _reduction in ("Sum", "Mean", "Max", "WeightedSum"):
    _weighted = _reduction == "WeightedSum"
    declare(
        f"Lengths{_reduction}",
        inputs=2 + _weighted,
        args=[GRAD] if _weighted else [],
        shape=lengths_dims,
        doc=f"Gives for each segment {WORDS[_reduction]}. Segments are successive rows.",
        in_doc=["DATA: float, n x ...", *[WEIGHTS] * _weighted, "LENGTHS: int32, rows of each segment; n in all"],
        out_doc=OUT,
    )
for _reduction in ("Sum", "Mean", "Max", "LogSumExp", "LogMeanExp"):
    declare(
        f"SortedSegmentRange{_reduction}",
        inputs=2,
        shape=ids_dims,
        doc=f"Gives for each segment {WORDS[_reduction]}. Ids start at 0, and each is its predecessor or one more.",
        in_doc=["DATA: float, n x ...", "SEGMENT_IDS: int32, a segment for each row"],
        out_doc=OUT,
    )
declare(
    "ReduceFrontWeightedSum",
    inputs=2,
    args=[Arg("num_reduce_dim", "int", 1, "how many dimensions are added up"), GRAD],
    shape=front_dims,
    doc="The sum over the first dimensions, each row times its weight.",
    in_doc=["DATA: float", "SCALARS: float, weights in the shape of DATA's first dimensions"],
    out_doc=["OUTPUT: float, DATA's other dimensions"],
)
