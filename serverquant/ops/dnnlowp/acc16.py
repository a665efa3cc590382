"""Engine DNNLOWP_ACC16: in Caffe2 the same sums, added up in 16 bits where they fit.

Weights beyond `nbits_in_non_outlier` bits are taken out and summed in 32 bits there; the rest is summed in int16, and
saturates when it does not fit. Here the exact sum is given always, so the outliers make no difference. What can be told
is for how many output columns Caffe2's sums might have left int16; `explain` shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serverquant._base.errors import ArgumentError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT
from serverquant.ops.dnnlowp.weights import read_weight
from serverquant.runtime.schema import Arg

if TYPE_CHECKING:
    from serverquant.ops.dnnlowp.options import Options
    from serverquant.runtime._plan import Step
    from serverquant.runtime.operator import Operator

ENGINE = "DNNLOWP_ACC16"
ARGS = [
    Arg("nbits_in_non_outlier", "int", 8, "engine DNNLOWP_ACC16: weights of more bits are outliers; no effect on Y"),
    Arg("copy_to_32bit_frequency", "int", 32, "engine DNNLOWP_ACC16: no effect, sums are exact"),
]


def outlier_bits(op: Operator) -> int:
    """The argument nbits_in_non_outlier."""
    bits = op.args.nbits_in_non_outlier
    if not 0 <= bits <= 32:
        raise ArgumentError(f"argument nbits_in_non_outlier is {bits}; it must be 0 to 32 bits")
    return min(int(bits), 8)


def columns_past_int16(weights: np.ndarray, bits: int) -> int:
    """For how many rows of int8 weights [outputs, K] some uint8 inputs make the sum over what is no outlier leave
    int16."""
    half = (1 << bits) // 2
    kept = np.where((weights >= -half) & (weights < half), weights, 0).astype(np.int64)
    high, low = np.maximum(kept, 0).sum(1) * 255, np.minimum(kept, 0).sum(1) * 255
    return int(((high > np.iinfo(np.int16).max) | (low < np.iinfo(np.int16).min)).sum())


def tell(step: Step, blob: Blob, blocks: int, options: Options, columns: int, bits: int) -> None:
    """Put into the step's facts how many columns could pass int16 in Caffe2, if that is known."""

    def count_columns() -> np.int64:
        weights = read_weight(blob, blocks, options)[0]
        return np.int64(columns_past_int16(weights.reshape(columns, -1), bits))

    if blob.kind == OBJECT:
        count = getattr(blob.value, "past_int16", None)
    else:
        count = blob.packed(("past_int16", columns, bits, blocks, options), count_columns)
    if count is not None:
        step.facts["past_int16"] = f"{count} of {columns} columns"
