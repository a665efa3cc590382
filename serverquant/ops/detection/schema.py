"""Schemas and shape rules of the detection operators."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims

# ---- regions of interest -------------------------------------------------------------------------------------------


def is_nhwc(op: Any) -> bool:
    return bool(op.args.order == "NHWC")


def roi_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: one cut-out of the map for each RoI."""
    x, rois = ins
    if x.ndim != 4:
        raise op.shape_error(ins, 0, "4 dimensions, N x C x H x W or N x H x W x C")
    if rois.ndim != 2 or rois.dims[1] not in op.columns:
        raise op.shape_error(ins, 1, f"2 dimensions, RoIs x {' or '.join(map(str, op.columns))}")
    pooled, count = (op.args.pooled_h, op.args.pooled_w), rois.dims[0]
    dims = (count, *pooled, x.dims[3]) if is_nhwc(op) else (count, x.dims[1], *pooled)
    return [dims] * len(op.outputs)


POOLED = [
    Arg("spatial_scale", "float", 1.0, "pixels of the map for one of the image"),
    Arg("pooled_h", "int", 1, "height of the output"),
    Arg("pooled_w", "int", 1, "width of the output"),
]
ORDER = Arg("order", "string", "NCHW", "NCHW or NHWC")
ALIGN = [
    *POOLED,
    ORDER,
    Arg("sampling_ratio", "int", -1, "points of a bin along an axis; 0 or less: one for each pixel it is wide"),
    Arg("aligned", "bool", False, "pixel centres lie at half integers; RoIs have no least size of one pixel"),
]
X = "X: float, N x C x H x W, or N x H x W x C with order NHWC"
Y = "Y: float, R x C x pooled_h x pooled_w, or R x pooled_h x pooled_w x C with order NHWC"

declare(
    "RoIAlign",
    inputs=2,
    args=ALIGN,
    shape=roi_dims,
    doc="""Cuts regions out of a feature map, all to one size: each output is the mean of points of its bin, which are
interpolated between four pixels. A point more than a pixel outside of the map counts as 0.""",
    in_doc=[X, "RoIs: float, R x 5: index of the image, x1, y1, x2, y2; or R x 4 without the index (0)"],
    out_doc=[Y],
)
declare(
    "RoIAlignRotated",
    inputs=2,
    args=ALIGN,
    shape=roi_dims,
    doc="RoIAlign of rotated regions.",
    in_doc=[
        X,
        "RoIs: float, R x 6: image's index, center x, center y, width, height, angle (degrees, counter-clockwise); "
        "or R x 5 without the index (0)",
    ],
    out_doc=[Y],
)
declare(
    "RoIPool",
    inputs=2,
    outputs=(1, 2),
    args=[*POOLED, ORDER, Arg("is_test", "bool", False, "1: only Y; 0: argmaxes too")],
    shape=roi_dims,
    doc="The largest element of each bin of a region; 0 for a bin without pixels. Order NCHW only.",
    in_doc=["X: float, N x C x H x W", "rois: float, R x 5: index of the image, x1, y1, x2, y2"],
    out_doc=[
        "Y: float, R x C x pooled_h x pooled_w",
        "argmaxes: int32, place of each element in its plane, -1 for none",
    ],
)

# ---- boxes ---------------------------------------------------------------------------------------------------------

PLUS_ONE = Arg("legacy_plus_one", "bool", True, "widths and heights count pixels: x2 - x1 + 1")
ANGLES = [
    Arg("angle_bound_on", "bool", True, "rotated boxes: bring angles into angle_bound_lo to angle_bound_hi"),
    Arg("angle_bound_lo", "int", -90, "least angle in degrees"),
    Arg("angle_bound_hi", "int", 90, "largest angle; the difference is a multiple of 180"),
    Arg("clip_angle_thresh", "float", 1.0, "rotated boxes turned by no more than this are clipped to the image"),
]
# Old nets have it; Caffe2 1.8.1 does not read it.
IGNORED_COORDS = Arg("correct_transform_coords", "bool", False, "has no effect")


def transform_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: the deltas' shape, and one count for each image."""
    rois, deltas, info = ins
    n = op.box_dim
    if rois.ndim != 2 or rois.dims[1] not in (n, n + 1):
        raise op.shape_error(ins, 0, f"2 dimensions, RoIs x {n} or {n + 1}")
    if deltas.ndim != 2 or deltas.dims[0] != rois.dims[0] or deltas.dims[1] % n:
        raise op.shape_error(ins, 1, f"{rois.dims[0]} x a multiple of {n}")
    if info.ndim != 2 or info.dims[1] != 3 or (rois.dims[1] == n and info.dims[0] != 1):
        many = "images x 3" if rois.dims[1] > n else "1 x 3, as RoIs without an image's index belong to one image"
        raise op.shape_error(ins, 2, many)
    return [deltas.dims, (info.dims[0],)][: len(op.outputs)]


declare(
    "BBoxTransform",
    inputs=3,
    outputs=(1, 2),
    args=[
        Arg("weights", "floats", [1.0, 1.0, 1.0, 1.0], "divisors of dx, dy, dw, dh"),
        Arg("apply_scale", "bool", True, "boxes of the scaled image come out; else of the original one"),
        Arg("rotated", "bool", False, "boxes are center x, center y, width, height, angle"),
        *ANGLES,
        PLUS_ONE,
        IGNORED_COORDS,
    ],
    shape=transform_dims,
    doc="""Moves and stretches boxes by regression deltas and clips them to the image. RoIs of several images are
grouped, in increasing order of the images.""",
    in_doc=[
        "rois: float, R x 4: x1, y1, x2, y2; or R x 5 with the image's index in front; rotated: one column more",
        "deltas: float, R x 4K: dx, dy, dw, dh for each of K classes; rotated: R x 5K, with da in radians",
        "im_info: float, images x 3: height, width, scale",
    ],
    out_doc=["box_out: float, like deltas", "roi_batch_splits: float, RoIs of each image"],
)
declare(
    "GenerateProposals",
    "GenerateProposalsCPP",
    inputs=4,
    outputs=2,
    args=[
        Arg("spatial_scale", "float", 0.0625, "pixels of the map for one of the image"),
        Arg("pre_nms_topN", "int", 6000, "boxes with the highest scores that are looked at; 0 or less: all"),
        Arg("post_nms_topN", "int", 300, "boxes of an image that come out; 0 or less: all"),
        Arg("nms_thresh", "float", 0.7, "a box that overlaps a better one by more is dropped"),
        Arg("min_size", "float", 16.0, "least width and height, in pixels of the original image"),
        *ANGLES,
        PLUS_ONE,
        IGNORED_COORDS,
    ],
    doc="""Proposals of a region proposal network: anchors at every pixel, moved and stretched by deltas, clipped to the
image, without small ones and without those that overlap better ones.""",
    in_doc=[
        "scores: float, images x A x H x W",
        "bbox_deltas: float, images x 4A x H x W; rotated: 5A",
        "im_info: float, images x 3: height, width, scale",
        "anchors: float, A x 4: x1, y1, x2, y2; rotated A x 5",
    ],
    out_doc=[
        "rois: float, n x 5: index of the image, x1, y1, x2, y2; rotated: n x 6",
        "rois_probs: float, n scores",
    ],
)
declare(
    "BoxWithNMSLimit",
    inputs=(2, 3),
    outputs=(3, 6),
    args=[
        Arg("score_thresh", "float", 0.05, "boxes with a higher score are looked at"),
        Arg("nms", "float", 0.3, "a box that overlaps a better one of its class by more is dropped"),
        Arg("detections_per_im", "int", 100, "boxes of an image that come out; 0 or less: all"),
        Arg("soft_nms_enabled", "bool", False, "lower the scores of overlapping boxes instead of dropping them"),
        Arg("soft_nms_method", "string", "linear", "linear: by 1 - overlap; gaussian: by exp(-overlap^2 / sigma)"),
        Arg("soft_nms_sigma", "float", 0.5, "sigma of gaussian"),
        Arg("soft_nms_min_score_thres", "float", 0.001, "boxes whose score falls below are dropped"),
        Arg("rotated", "bool", False, "boxes are center x, center y, width, height, angle"),
        Arg("cls_agnostic_bbox_reg", "bool", False, "one box for all classes"),
        Arg("input_boxes_include_bg_cls", "bool", True, "class 0 of scores and boxes is the background; else the last"),
        Arg("output_classes_include_bg_cls", "bool", True, "the first class that comes out is 1; else 0"),
        PLUS_ONE,
    ],
    doc="Non-maximum suppression for each class but the background, and the best detections over all classes.",
    in_doc=[
        "scores: float, n x classes, or n x classes x 1 x 1",
        "boxes: float, n x 4 classes, rotated 5 classes, or with x 1 x 1 behind",
        "batch_splits: float or int32, boxes of each image; they add up to n",
    ],
    out_doc=[
        "scores: float, m",
        "boxes: float, m x 4, rotated m x 5",
        "classes: float, m",
        "batch_splits: float, detections of each image",
        "keeps: int32, m, row of each detection among the boxes of its image",
        "keeps_size: int32, images x classes, detections of each class",
    ],
)

# ---- pyramids ------------------------------------------------------------------------------------------------------

ROI_LEVELS = [
    Arg("roi_canonical_scale", "int", 224, "side of a square RoI of the canonical level"),
    Arg("roi_canonical_level", "int", 4, "its level"),
    Arg("roi_max_level", "int", 5, "last level of the outputs"),
    Arg("roi_min_level", "int", 2, "first level of the outputs"),
    PLUS_ONE,
]
RPN_LEVELS = [
    Arg("rpn_max_level", "int", 6, "last level of the inputs"),
    Arg("rpn_min_level", "int", 2, "first level of the inputs"),
    Arg("rpn_post_nms_topN", "int", 2000, "RoIs that come out, those with the highest scores; 0 or less: all"),
]
RPN_IN = [
    "rpn_rois: float, n x 5 for each level: index of the image, x1, y1, x2, y2",
    "rpn_roi_probs: float, n scores for each level, behind the RoIs of all levels",
]
LEVEL_OUT = "rois_level: float, n x 5, the RoIs of each level, in their order"
RESTORE_OUT = "rois_idx_restore: int32, place of each RoI in the levels one behind the other"

declare(
    "CollectRpnProposals",
    inputs=(2, MANY),
    args=RPN_LEVELS,
    doc="The RoIs with the highest scores of all levels of a feature pyramid.",
    in_doc=RPN_IN,
    out_doc=["rois: float, n x 5, best first"],
)
declare(
    "DistributeFpnProposals",
    inputs=1,
    outputs=(2, MANY),
    args=ROI_LEVELS,
    doc="""RoIs by level of a map pyramid: floor(canonical level + log2(sqrt(area) / canonical scale + 1e-6)), within
the least and largest level.""",
    in_doc=["rois: float, n x 5: index of the image, x1, y1, x2, y2; or n x 4 without the index (0)"],
    out_doc=[LEVEL_OUT, RESTORE_OUT],
)
declare(
    "CollectAndDistributeFpnRpnProposals",
    inputs=(2, MANY),
    outputs=(3, MANY),
    args=[*ROI_LEVELS, *RPN_LEVELS],
    doc="CollectRpnProposals, then DistributeFpnProposals.",
    in_doc=RPN_IN,
    out_doc=["rois: float, n x 5, best first", LEVEL_OUT, RESTORE_OUT],
)

# ---- keypoints -----------------------------------------------------------------------------------------------------


def keypoint_dims(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule: four numbers for each keypoint of each RoI."""
    maps, boxes = ins
    if maps.ndim != 4 or maps.dims[2] != maps.dims[3] or maps.dims[2] < 2:
        raise op.shape_error(ins, 0, "RoIs x keypoints x size x size, size at least 2")
    if boxes.ndim != 2 or boxes.dims[0] != maps.dims[0] or boxes.dims[1] < 4:
        raise op.shape_error(ins, 1, f"{maps.dims[0]} x 4 or more")
    return [(maps.dims[0], 4, maps.dims[1])]


declare(
    "HeatmapMaxKeypoint",
    inputs=2,
    args=[Arg("should_output_softmax", "bool", False, "the probability of the largest element in row 3; else 0")],
    shape=keypoint_dims,
    doc="""Where each heat map is largest, between its pixels: at the summit of the quadratic through the 3 x 3 pixels
around the largest one, no more than 1.5 pixels away from it.""",
    in_doc=["heatmaps: float, R x K x size x size", "bboxes: float, R x 4: x1, y1, x2, y2 of each map in the image"],
    out_doc=["keypoints: float, R x 4 x K: x, y, value, probability"],
)
