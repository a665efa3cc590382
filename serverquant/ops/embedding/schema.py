"""Schemas of the sums over bags of table rows."""

from __future__ import annotations

import math
from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims

# Bytes of scale and bias behind the values of a fused row, by the values' bits.
TAIL = {8: 8, 4: 4, 2: 4}


def fused_columns(op: Any, ins: list[Spec], bits: int, tail: int) -> int:
    """Values in a row of the fused table that is input 0."""
    if ins[0].ndim != 2 or ins[0].dims[1] < tail:
        raise op.shape_error(ins, 0, f"2 dimensions, rows of values with {tail} bytes of scale and bias behind them")
    return (ins[0].dims[1] - tail) * 8 // bits


def bags_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: a row for each length."""
    if not ins[0].ndim:
        raise op.shape_error(ins, 0, "a table: rows first")
    for i in range(1, len(ins)):
        if i != op.apart and ins[i].ndim != 1:
            raise op.shape_error(ins, i, "1 dimension")
    if op.apart is not None and ins[op.apart].dims != (ins[0].dims[0], 2):
        raise op.shape_error(ins, op.apart, f"({ins[0].dims[0]}, 2), scale and bias of each row")
    if op.weights is not None and not op.positional and ins[op.weights].size != ins[op.indices].size:
        raise op.shape_error(ins, op.weights, f"({ins[op.indices].size},), a weight for each index")
    inner = (fused_columns(op, ins, op.bits, TAIL[op.bits]),) if op.fused else ins[0].dims[1:]
    if op.apart is not None:
        inner = (math.prod(inner),)
    return [(ins[op.lengths].dims[0], *inner)]


TABLE = "DATA: rows x ..., float or float16"
WEIGHTS = "WEIGHTS: float, one for each index"
REST = ["INDICES: int32 or int64, rows of the table", "LENGTHS: int32, so many indices belong to each bag"]
OUT = ["OUTPUT: float, bags x ..."]
SUM = "The sum of the table's rows that each bag names, in their order; an empty bag gives zeros."
MEAN = "The mean of the table's rows that each bag names; an empty bag gives zeros."
BYTES = "DATA: uint8, rows x columns, from FloatToRowwiseQuantized8Bits"
PARAMS = "scale_bias: float, rows x 2"
FUSED = {
    8: "DATA: uint8, rows x (columns + 8), scale and bias as floats behind the values",
    4: "DATA: uint8, rows x (columns / 2 + 4), scale and bias in half precision behind the values",
    2: "DATA: uint8, rows x (columns / 4 + 4), scale and bias in half precision behind the values",
}
MAP = "COMPRESSED_INDICES_MAPPING: int32, the table's row for each index, -1 for one that was pruned away"

declare("SparseLengthsSum", inputs=3, shape=bags_dims, doc=SUM, in_doc=[TABLE, *REST], out_doc=OUT)
declare("SparseLengthsMean", inputs=3, shape=bags_dims, doc=MEAN, in_doc=[TABLE, *REST], out_doc=OUT)
declare(
    "SparseLengthsWeightedSum",
    inputs=4,
    args=[Arg("grad_on_weights", "bool", False, "no effect: for training")],
    shape=bags_dims,
    doc=f"{SUM} Each row times its weight.",
    in_doc=[TABLE, WEIGHTS, *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsPositionalWeightedSum",
    inputs=4,
    shape=bags_dims,
    doc=f"{SUM} Each row times the weight of its place in the bag.",
    in_doc=[TABLE, "WEIGHT: float, one for each place of the longest bag", *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsSum8BitsRowwise",
    "SparseLengthsMean8BitsRowwise",
    inputs=4,
    shape=bags_dims,
    doc="Sum or mean of the quantized rows that each bag names.",
    in_doc=[BYTES, *REST, PARAMS],
    out_doc=OUT,
)
declare(
    "SparseLengthsWeightedSum8BitsRowwise",
    "SparseLengthsWeightedMean8BitsRowwise",
    inputs=5,
    shape=bags_dims,
    doc="Sum or mean of the quantized rows that each bag names, each times its weight; a mean divides by the count.",
    in_doc=[BYTES, WEIGHTS, *REST, PARAMS],
    out_doc=OUT,
)
declare(
    "SparseLengthsSumFused8BitRowwise",
    "SparseLengthsMeanFused8BitRowwise",
    inputs=3,
    shape=bags_dims,
    doc="Sum or mean of the fused 8-bit rows that each bag names.",
    in_doc=[FUSED[8], *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsWeightedSumFused8BitRowwise",
    inputs=4,
    shape=bags_dims,
    doc="Sum of the fused 8-bit rows that each bag names, each times its weight.",
    in_doc=[FUSED[8], WEIGHTS, *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsSumFused4BitRowwise",
    "SparseLengthsMeanFused4BitRowwise",
    inputs=3,
    shape=bags_dims,
    doc="Sum or mean of the fused 4-bit rows that each bag names.",
    in_doc=[FUSED[4], *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsWeightedSumFused4BitRowwise",
    inputs=4,
    shape=bags_dims,
    doc="Sum of the fused 4-bit rows that each bag names, each times its weight.",
    in_doc=[FUSED[4], WEIGHTS, *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsSumFused2BitRowwise",
    "SparseLengthsMeanFused2BitRowwise",
    inputs=3,
    shape=bags_dims,
    doc="Sum or mean of the fused 2-bit rows that each bag names.",
    in_doc=[FUSED[2], *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsWeightedSumFused2BitRowwise",
    inputs=4,
    shape=bags_dims,
    doc="Sum of the fused 2-bit rows that each bag names, each times its weight.",
    in_doc=[FUSED[2], WEIGHTS, *REST],
    out_doc=OUT,
)
declare(
    "SparseLengthsSum8BitRowwiseSparse",
    "SparseLengthsMean8BitRowwiseSparse",
    "SparseLengthsSum4BitRowwiseSparse",
    "SparseLengthsMean4BitRowwiseSparse",
    "SparseLengthsSum2BitRowwiseSparse",
    "SparseLengthsMean2BitRowwiseSparse",
    inputs=4,
    shape=bags_dims,
    doc="Sum or mean over bags of a pruned table's fused rows. A pruned row adds nothing, but counts in the mean.",
    in_doc=["DATA: uint8, fused rows of the bits that the name says", *REST, f"{MAP}; a lone 0: none was"],
    out_doc=OUT,
)
declare(
    "SparseLengthsWeightedSum8BitRowwiseSparse",
    "SparseLengthsWeightedSum4BitRowwiseSparse",
    "SparseLengthsWeightedSum2BitRowwiseSparse",
    inputs=5,
    shape=bags_dims,
    doc="Sum over bags of a pruned table's fused rows, each times its weight. A pruned row adds nothing.",
    in_doc=["DATA: uint8, fused rows of the bits that the name says", WEIGHTS, *REST, f"{MAP}; a lone 0: none was"],
    out_doc=OUT,
)
declare(
    "SparseLengthsSumSparseLookup",
    inputs=(3, 4),
    outputs=(2, 3),
    doc="Maps a pruned table's indices to its rows; leaves out those that are gone, and their weights.",
    in_doc=["INDICES: int32 or int64", "LENGTHS: int32", MAP, "WEIGHTS: float, one for each index; optional"],
    out_doc=["OUTPUT_INDICES: of INDICES' type", "OUTPUT_LENGTHS: int32", "OUTPUT_WEIGHTS: float, with WEIGHTS alone"],
)
