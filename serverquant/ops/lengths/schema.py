"""Schemas and shape rules of the operators on lengths and ids."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims


def expect_vector(op: Any, ins: list[Spec], i: int) -> None:
    if ins[i].ndim != 1:
        raise op.shape_error(ins, i, "1 dimension")


def ranges_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    expect_vector(op, ins, 0)
    return [(ins[0].dims[0], 2)]


def offsets_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    expect_vector(op, ins, 0)
    return [(ins[0].dims[0] + bool(op.args.include_last_offset),)]


def pair_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    expect_vector(op, ins, 0)
    if ins[0].dims[0] == 0:
        raise op.shape_error(ins, 0, "1 length or more")
    return [(2,)]


def unknown_dims(op: Any, ins: list[Spec]) -> None:
    """Shape rule: only running tells; the lengths are a vector."""
    expect_vector(op, ins, op.lengths_at)


LENGTHS = "lengths: int32, length of each range"
declare(
    "LengthsToSegmentIds",
    inputs=1,
    shape=unknown_dims,
    doc="The number of its range for each element: [2, 0, 1] gives [0, 0, 2].",
    in_doc=[LENGTHS],
    out_doc=["segment_ids: int32, as many as the lengths add up to"],
)
declare(
    "LengthsToRanges",
    inputs=1,
    shape=ranges_dims,
    doc="Start and length of each range: [2, 0, 1] gives [[0, 2], [2, 0], [2, 1]].",
    in_doc=[LENGTHS],
    out_doc=["ranges: int32, n x 2"],
)
declare(
    "LengthsToOffsets",
    inputs=1,
    args=[Arg("include_last_offset", "bool", False, "the end of the last range too")],
    shape=offsets_dims,
    doc="Start of each range: [2, 0, 1] gives [0, 2, 2].",
    in_doc=[LENGTHS],
    out_doc=["offsets: int32, n or n + 1"],
)
declare(
    "LengthsToShape",
    inputs=1,
    shape=pair_dims,
    doc="Number and size of ranges that are all of one size.",
    in_doc=[LENGTHS],
    out_doc=["as_shape: int32, 2"],
)
declare(
    "LengthsToWeights",
    inputs=1,
    args=[Arg("power", "float", 0.5, "what lengths are raised to")],
    shape=unknown_dims,
    doc="1 / length^power for each element of each range.",
    in_doc=["lengths: int32 or int64, length of each range"],
    out_doc=["a_weights: float, as many as the lengths add up to"],
)
declare(
    "LengthsRangeFill",
    inputs=1,
    shape=unknown_dims,
    doc="0, 1, ... length - 1 for each length: [2, 0, 3] gives [0, 1, 0, 1, 2].",
    in_doc=[LENGTHS],
    out_doc=["range_sequence: int32, as many as the lengths add up to"],
)


def vector_dims(op: Any, ins: list[Spec]) -> list[Dims] | None:
    """Shape rule: with a second input its rows are counted."""
    if ins[0].ndim != 1 and not (ins[0].ndim == 2 and 1 in ins[0].dims and op.type == "SegmentIdsToLengths"):
        raise op.shape_error(ins, 0, "a vector")
    if len(ins) == 1:
        return None
    if ins[1].ndim < 1:
        raise op.shape_error(ins, 1, "1 or more dimensions")
    return [(ins[1].dims[0], 2) if op.type == "SegmentIdsToRanges" else (ins[1].dims[0],)]


for _type, _doc, _out in (
    ("SegmentIdsToLengths", "How often each id occurs: [0, 0, 2] gives [2, 0, 1].", "lengths: int32, segments"),
    ("SegmentIdsToRanges", "Start and length of segments: [0, 0, 1] gives [[0, 2], [2, 1]].", "ranges: int32, n x 2"),
):
    declare(
        _type,
        inputs=(1, 2),
        shape=vector_dims,
        doc=_doc,
        in_doc=["segment_ids: int32 or int64, in increasing order", "data: as many rows as there are segments"],
        out_doc=[_out],
    )


# ---- rows ----------------------------------------------------------------------------------------------------------


def tile_dims(op: Any, ins: list[Spec]) -> None:
    expect_vector(op, ins, 1)
    if ins[0].ndim < 1 or ins[0].dims[0] != ins[1].dims[0]:
        raise op.shape_error(ins, 0, f"{ins[1].dims[0]} rows, one for each length")


def gather_dims(op: Any, ins: list[Spec]) -> None:
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")
    expect_vector(op, ins, 1)
    expect_vector(op, ins, 2)


def pad_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    expect_vector(op, ins, 1)
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")
    return [(ins[1].dims[0] * op.args.target_length, *ins[0].dims[1:])]


def top_k_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    expect_vector(op, ins, 1)
    return [(ins[1].dims[0], op.args.k)] * 2


def split_dims(op: Any, ins: list[Spec]) -> list[Dims] | None:
    expect_vector(op, ins, 0)
    if len(ins) == 1:
        return [(ins[0].dims[0] * op.args.n_split,)]
    if ins[1].dims != (1,):
        raise op.shape_error(ins, 1, "1 dimension of one element")
    return None


declare(
    "LengthsTile",
    inputs=2,
    shape=tile_dims,
    doc="Repeats row i lengths[i] times.",
    in_doc=["DATA: n x ...", "LENGTHS: int32, n"],
    out_doc=["OUTPUT: as many rows as the lengths add up to"],
)
declare(
    "LengthsGather",
    inputs=3,
    shape=gather_dims,
    doc="Ranges of rows, one behind the other, in the order of the indices.",
    in_doc=["ITEMS: n x ...", "LENGTHS: int32, rows of each range; n in all", "INDICES: int32 or int64, ranges"],
    out_doc=["OUTPUT: the rows of the ranges that INDICES name"],
)
declare(
    "LengthsPad",
    inputs=2,
    args=[
        Arg("padding_value", "float", -1.0, "elements of the rows that are added"),
        Arg("target_length", "int", -1, "rows of each range in the output; at least 1"),
    ],
    shape=pad_dims,
    doc="Makes all ranges equally long, with rows of padding_value behind each.",
    in_doc=["DATA: float, double, int32 or int64, n x ...", "LENGTHS: int32, rows of each range; n in all"],
    out_doc=["OUTPUT: ranges * target_length rows"],
)
declare(
    "LengthsTopK",
    inputs=2,
    outputs=2,
    args=[Arg("k", "int", -1, "elements of each range; at least 1")],
    shape=top_k_dims,
    doc="The k largest elements of each range, largest first, of equal ones the first; 0 and -1 where there are less.",
    in_doc=["DATA: float, n elements", "LENGTHS: int32, elements of each range"],
    out_doc=["TopKValue: float, ranges x k", "TopKIndices: int32, places in their range"],
)
declare(
    "LengthsSplit",
    inputs=(1, 2),
    args=[Arg("n_split", "int", 0, "parts of each length")],
    shape=split_dims,
    doc="Splits each length into n_split that differ by no more than 1, larger ones first.",
    in_doc=["LENGTHS: int32", "n_split: int32, one element, instead of the argument"],
    out_doc=["Y: int32, lengths * n_split"],
)

# ---- partitions ----------------------------------------------------------------------------------------------------

PACK = Arg("pack_first_input", "bool", False, "the keys come out divided by the number of parts, less the remainder")
declare(
    "Partition",
    inputs=(1, MANY),
    outputs=(1, MANY),
    args=[PACK],
    doc="""Distributes keys over parts: a key goes to part key mod parts. Rows of further inputs go with their keys.
There are outputs / inputs parts; all outputs of a part stand together.""",
    in_doc=["input: int32 or int64 keys", "data: any type, rows for the keys; more inputs may follow"],
    out_doc=["partitions: for each part its keys, and the rows of each further input"],
)
declare(
    "LengthsPartition",
    inputs=(2, MANY),
    outputs=(2, MANY),
    args=[PACK],
    doc="Partition of keys in ranges: each part gets as many lengths as there are ranges.",
    in_doc=[LENGTHS, "input: int32 or int64 keys, as many as the lengths add up to", "data: rows for the keys"],
    out_doc=["partitions: for each part its lengths, its keys, and the rows of each further input"],
)
declare(
    "GatherByKey",
    inputs=(2, MANY),
    doc="Undoes Partition: puts the rows of the parts in the order of the keys.",
    in_doc=["keys: int32 or int64, the first input of Partition", "sharded_values: the rows of each part"],
    out_doc=["values: rows in the order of the keys"],
)
