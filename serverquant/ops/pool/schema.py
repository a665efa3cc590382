"""Schemas of the pools."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.ops._window import WINDOW_ARGS, split_dims, window_dims
from serverquant.ops.dnnlowp.options import ARGS, OUTPUT_ARGS
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims

POOL_ARGS = [
    *WINDOW_ARGS,
    Arg("global_pooling", "bool", False, "the window is the whole image"),
    *OUTPUT_ARGS,
    *ARGS,
]


def pool_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: sizes by the window, batch and channels stay."""
    x = ins[0]
    if x.ndim < 3 or (not op.window.is_global and x.ndim != op.window.ndim + 2):
        want = "3 or more" if op.window.is_global else op.window.ndim + 2
        raise op.shape_error(ins, 0, f"{want} dimensions: batch, channels and spatial ones")
    return [window_dims(op, ins, split_dims(x.dims, op.window.nhwc)[1])]


IN_DOC, OUT_DOC = ["X: N x C x sizes (NCHW) or N x sizes x C (NHWC)"], ["Y: N x C x sizes or N x sizes x C"]
declare(
    "MaxPool",
    "Int8MaxPool",
    "Int8MaxPoolRelu",
    inputs=1,
    args=POOL_ARGS,
    shape=pool_dims,
    doc="The largest element of each window; padding never wins. Int8: Y has X's scale and zero point.",
    in_doc=IN_DOC,
    out_doc=OUT_DOC,
)
declare(
    "AveragePool",
    "Int8AveragePool",
    "Int8AveragePoolRelu",
    inputs=1,
    args=[*POOL_ARGS, Arg("count_include_pad", "bool", False, "float only: divide by the whole kernel, padding too")],
    shape=pool_dims,
    doc="""The mean of each window, clipped to the image. The mobile Int8AveragePool counts padding as X's zero point
and divides by the whole kernel.""",
    in_doc=IN_DOC,
    out_doc=OUT_DOC,
)
