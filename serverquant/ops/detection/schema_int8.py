"""Schema of RoIAlign on Int8 tensors."""

from __future__ import annotations

from serverquant.ops.detection.schema import ALIGN, roi_dims
from serverquant.ops.dnnlowp.options import OUTPUT_ARGS
from serverquant.runtime.registry import declare

declare(
    "Int8RoIAlign",
    inputs=2,
    args=[*(arg for arg in ALIGN if arg.name != "aligned"), *OUTPUT_ARGS],
    shape=roi_dims,
    doc="""RoIAlign in fixed point. Weights of the four pixels are rounded to 255ths and need not add up to 255.
A point more than a pixel outside of the map counts as the byte 0, as in Caffe2. sampling_ratio must be 1 or more.""",
    in_doc=["X: Int8 of uint8, N x H x W x C", "RoIs: float, R x 5: index of the image, x1, y1, x2, y2; or R x 4"],
    out_doc=["Y: Int8 of uint8, R x pooled_h x pooled_w x C"],
)
