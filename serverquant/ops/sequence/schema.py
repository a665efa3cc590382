"""Schemas and shape rules of the operators on sequences."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import ArgumentError
from serverquant.blobs.spec import Spec
from serverquant.ops.lengths.schema import expect_vector
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims

# ---- rectangles ----------------------------------------------------------------------------------------------------


def pack_dims(op: Any, ins: list[Spec]) -> list[Dims] | None:
    """Shape rule: segments x max_length; without the argument the longest one tells."""
    expect_vector(op, ins, 0)
    if ins[1].ndim < 1:
        raise op.shape_error(ins, 1, "1 or more dimensions")
    if op.args.max_length < 0:
        return None
    mask = (ins[0].dims[0], op.args.max_length)
    return [(*mask, *ins[1].dims[1:]), mask][: len(op.outputs)]


def unpack_dims(op: Any, ins: list[Spec]) -> None:
    expect_vector(op, ins, 0)
    if ins[1].ndim < 2 or ins[1].dims[0] != ins[0].dims[0]:
        raise op.shape_error(ins, 1, f"2 or more dimensions, the first of {ins[0].dims[0]} as there are lengths")
    if op.args.max_length not in (-1, ins[1].dims[1]):
        raise ArgumentError(f"argument max_length is {op.args.max_length}, but segments have {ins[1].dims[1]} rows")


MAX_LENGTH = Arg("max_length", "int", -1, "rows of a packed segment; -1: of the longest")
SEGMENT_LENGTHS = "lengths: int32 or int64, rows of each segment"
declare(
    "PackSegments",
    inputs=2,
    outputs=(1, 2),
    args=[
        MAX_LENGTH,
        Arg("pad_minf", "bool", False, "pad floats with -inf instead of 0"),
        Arg("return_presence_mask", "bool", False, "output 1 tells rows from padding"),
    ],
    shape=pack_dims,
    doc="Segments of rows, each in a plane of its own, padded (or cut) to one length.",
    in_doc=[SEGMENT_LENGTHS + "; n in all", "tensor: n x ..."],
    out_doc=["packed_tensor: segments x length x ...", "presence_mask: bool, segments x length"],
)
declare(
    "UnpackSegments",
    inputs=2,
    args=[MAX_LENGTH],
    shape=unpack_dims,
    doc="""Undoes PackSegments: the rows without padding, one segment behind the other. With max_length, which must be
the length of a packed segment then, a segment may have been longer.""",
    in_doc=[SEGMENT_LENGTHS, "tensor: segments x length x ..."],
    out_doc=["packed_tensor: as many rows as the lengths add up to"],
)


def rnn_dims(op: Any, ins: list[Spec]) -> None:
    expect_vector(op, ins, 1)
    least = 2 if op.type == "PackRNNSequence" else 3
    if ins[0].ndim < least:
        raise op.shape_error(ins, 0, f"{least} or more dimensions")
    if least == 3 and ins[0].dims[1] != ins[1].dims[0]:
        raise op.shape_error(ins, 0, f"a second dimension of {ins[1].dims[0]}, as there are lengths")


declare(
    "PackRNNSequence",
    inputs=2,
    shape=rnn_dims,
    doc="Sequences side by side, time first, padded with 0.",
    in_doc=["values: float, double, int32 or int64, n x ...", "lengths: int32, of each sequence; n in all"],
    out_doc=["output: longest x sequences x ..."],
)
declare(
    "UnpackRNNSequence",
    inputs=2,
    shape=rnn_dims,
    doc="Undoes PackRNNSequence: one sequence behind the other.",
    in_doc=["values: float, double, int32 or int64, longest x sequences x ...", "lengths: int32, of each sequence"],
    out_doc=["output: as many rows as the lengths add up to"],
)


def variable_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 3:
        raise op.shape_error(ins, 0, "3 dimensions, time x batch x ...")
    if ins[1].dims != (ins[0].dims[1],):
        raise op.shape_error(ins, 1, f"1 dimension of {ins[0].dims[1]} lengths")
    return [ins[0].dims]


declare(
    "VariableLengthSequencePadding",
    inputs=2,
    inplace=[(0, 0)],
    shape=variable_dims,
    doc="0 behind the end of each sequence.",
    in_doc=["X: float, time x batch x ...", "lengths: int32, of each sequence"],
    out_doc=["Y: float, as X"],
)

# ---- padding around ranges -----------------------------------------------------------------------------------------


def _ranges(op: Any, ins: list[Spec]) -> int:
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")
    if len(ins) > 1:
        expect_vector(op, ins, 1)
    return ins[1].dims[0] if len(ins) > 1 else 1


def padded_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: each range gets, or loses, the padding."""
    ranges, block = _ranges(op, ins), ins[0].dims[1:]
    for i in range(2, len(ins)):
        if ins[i].size != ins[0].with_dims(block).size:
            raise op.shape_error(ins, i, f"as many elements as a row of {block}")
    more = (op.before + op.after) * ranges * (1 if op.type == "AddPadding" else -1)
    if ins[0].dims[0] + more < 0:
        raise op.shape_error(ins, 0, f"{-more} rows or more, which are taken away")
    return [(ins[0].dims[0] + more, *block), (ranges,)][: len(op.outputs)]


def gathered_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    _ranges(op, ins)
    return [ins[0].dims[1:] if op.before + op.after else ()] * len(op.outputs)


PADDING = [
    Arg("padding_width", "int", 1, "rows in front of each range"),
    Arg("end_padding_width", "int", -1, "rows behind each range; -1: as in front"),
]
NUMBERS = "float, double, int32, int64 or bool"
RANGES = "lengths: int32, rows of each range; n in all. Without it there is one range"
declare(
    "AddPadding",
    inputs=(1, 4),
    outputs=(1, 2),
    args=PADDING,
    shape=padded_dims,
    doc="Puts rows in front of and behind each range.",
    in_doc=[
        f"data_in: {NUMBERS}, n x ...",
        RANGES,
        "start_padding: a row to put in front (and behind); without it 0",
        "end_padding: a row to put behind",
    ],
    out_doc=["data_out: with padding", "lengths_out: int32, with padding"],
)
declare(
    "RemovePadding",
    inputs=(1, 2),
    outputs=(1, 2),
    args=PADDING,
    shape=padded_dims,
    doc="Undoes AddPadding.",
    in_doc=[f"data_in: {NUMBERS}, n x ...", RANGES],
    out_doc=["data_out: without padding", "lengths_out: int32, without padding"],
)
declare(
    "GatherPadding",
    inputs=2,
    outputs=(1, 2),
    args=PADDING,
    shape=gathered_dims,
    doc="The sum of the padding in front of all ranges, and of that behind them (all in one if there is one output).",
    in_doc=["data_in: float, double, int32 or int64, n x ...", RANGES],
    out_doc=["padding_sum: a row", "end_padding_sum: a row"],
)


def blocks_dims(op: Any, ins: list[Spec]) -> None:
    expect_vector(op, ins, 1)
    if ins[0].ndim < 1:
        raise op.shape_error(ins, 0, "1 or more dimensions")


def samples_dims(op: Any, ins: list[Spec]) -> None:
    expect_vector(op, ins, 0)
    for i in range(1, len(ins)):
        if ins[i].ndim < 1:
            raise op.shape_error(ins, i, "1 or more dimensions")


declare(
    "RemoveDataBlocks",
    inputs=2,
    shape=blocks_dims,
    doc="The rows that the indices do not name.",
    in_doc=["data: n x ...", "indices: int32 or int64"],
    out_doc=["shrunk data: fewer rows"],
)
declare(
    "PadEmptySamples",
    inputs=(1, MANY),
    outputs=(1, MANY),
    shape=samples_dims,
    doc="Gives each empty range a row of zeros.",
    in_doc=["lengths: int32, rows of each range; n in all", "feature: n x ...; more may follow"],
    out_doc=["out_lengths: int32, at least 1 each", "out_feature: with the rows of zeros"],
)

# ---- decoders ------------------------------------------------------------------------------------------------------


def ctc_dims(op: Any, ins: list[Spec]) -> None:
    if ins[0].ndim != 3 or ins[0].dims[2] == 0:
        raise op.shape_error(ins, 0, "3 dimensions, time x batch x labels, of one label or more")
    if len(ins) > 1 and ins[1].dims != (ins[0].dims[1],):
        raise op.shape_error(ins, 1, f"1 dimension of {ins[0].dims[1]} lengths")


CTC_IN = ["INPUTS: float, time x batch x labels; label 0 is the blank", "SEQ_LEN: int32, batch; else all the time"]
CTC_OUT = ["OUTPUT_LEN: int32, batch (x candidates): labels of each answer", "VALUES: int32, all answers together"]
declare(
    "CTCGreedyDecoder",
    inputs=(1, 2),
    outputs=2,
    args=[Arg("merge_repeated", "bool", True, "a label that goes on over time counts once")],
    shape=ctc_dims,
    doc="The most likely label at each time, without blanks.",
    in_doc=CTC_IN,
    out_doc=CTC_OUT,
)
declare(
    "CTCBeamSearchDecoder",
    inputs=(1, 2),
    outputs=(2, 3),
    args=[
        Arg("beam_width", "int", 10, "prefixes kept from time to time"),
        Arg("num_candidates", "int", 1, "answers for each item of the batch"),
        Arg("prune_threshold", "float", 0.001, "labels that are less likely are not looked at, unless all are"),
    ],
    shape=ctc_dims,
    doc="The most likely label sequences by a search that keeps the best prefixes. INPUTS are probabilities.",
    in_doc=CTC_IN,
    out_doc=[*CTC_OUT, "OUTPUT_PROB: float, the probability of each answer"],
)


def path_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    scores, transitions = ins
    if scores.ndim != 2 or 0 in scores.dims[1:]:
        raise op.shape_error(ins, 0, "2 dimensions, time x labels, of one label or more")
    if transitions.dims != (scores.dims[1],) * 2:
        raise op.shape_error(ins, 1, f"{scores.dims[1]} x {scores.dims[1]}")
    return [scores.dims[:1]]


def swap_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 2 or 0 in ins[0].dims[1:]:
        raise op.shape_error(ins, 0, "2 dimensions, time x labels, of one label or more")
    if ins[1].dims != ins[0].dims[:1]:
        raise op.shape_error(ins, 1, f"1 dimension of {ins[0].dims[0]} labels")
    return [ins[0].dims]


declare(
    "ViterbiPath",
    inputs=2,
    shape=path_dims,
    doc="The path of labels with the largest sum of scores and transitions; of equal ones the first labels.",
    in_doc=["predictions: float, time x labels", "transitions: float, from label x to label"],
    out_doc=["viterbi_path: int32, a label for each time"],
)
declare(
    "SwapBestPath",
    inputs=2,
    shape=swap_dims,
    doc="Exchanges at each time the largest score with that of the path's label.",
    in_doc=["predictions: float, time x labels", "bestPath: int32, a label for each time"],
    out_doc=["new_predictions: float, time x labels"],
)
