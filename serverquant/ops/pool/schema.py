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
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
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
    "AveragePool1D",
    "AveragePool2D",
    "AveragePool3D",
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


def lp_pool_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 4:
        raise op.shape_error(ins, 0, "4 dimensions: the window has two")
    return pool_dims(op, ins)


declare(
    "LpPool",
    inputs=1,
    args=[
        *WINDOW_ARGS,
        Arg("global_pooling", "bool", False, "the window is the whole image"),
        Arg("p", "float", 2.0, "the norm's power"),
    ],
    shape=lp_pool_dims,
    doc="The p-norm of each window, (sum |x|^p)^(1/p); padding counts as 0.",
    in_doc=["X: N x C x H x W (NCHW) or N x H x W x C (NHWC)"],
    out_doc=["Y: N x C x sizes or N x sizes x C"],
)


def rmac_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    if ins[0].ndim != 4:
        raise op.shape_error(ins, 0, "4 dimensions: batch, channels, height, width")
    return [(ins[0].dims[0] * len(op.regions(*ins[0].dims[2:])), 5)]


declare(
    "RMACRegions",
    inputs=1,
    args=[
        Arg("scales", "int", 3, "sizes of the regions: 2/2, 2/3, 2/4 ... of the shorter side"),
        Arg("overlap", "float", 0.4, "wanted overlap of neighbours along the longer side"),
    ],
    shape=rmac_dims,
    doc="The square regions of several scales that regional maximum activations (R-MAC) are taken over.",
    in_doc=["X: N x C x H x W, of which only the shape counts"],
    out_doc=["rois: regions of all images x (image, left, top, right, bottom)"],
)
