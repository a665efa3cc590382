"""GenerateProposals and BBoxTransform."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.kernels.boxes import _boxes
from serverquant.ops.detection.boxes import BoxArguments, best
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

CHUNK = 1 << 14  # numbers that BBoxTransform works on at once


@register("GenerateProposals", "GenerateProposalsCPP")
class GenerateProposals(PythonOperator):
    """Proposals of each image, best first."""

    takes = "float"

    def setup(self) -> None:
        self.boxes = BoxArguments(self.args)
        if not self.args.spatial_scale > 0:
            raise ArgumentError(f"argument spatial_scale is {self.args.spatial_scale}; it must be positive")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        scores, deltas, info, anchors = ins
        if scores.ndim != 4:
            raise self.shape_error(ins, 0, "4 dimensions, images x A x H x W")
        images, count, height, width = scores.dims
        if anchors.ndim != 2 or anchors.dims[0] != count or anchors.dims[1] not in (4, 5):
            raise self.shape_error(ins, 3, f"{count} x 4, or {count} x 5 for rotated boxes")
        if deltas.dims != (images, anchors.dims[1] * count, height, width):
            raise self.shape_error(ins, 1, f"{images} x {anchors.dims[1] * count} x {height} x {width}")
        if info.dims != (images, 3):
            raise self.shape_error(ins, 2, f"{images} x 3")
        if anchors.dims[1] == 5:
            self.boxes.check_angles()
        return super().plan(ins, outs)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        scores, deltas, info, anchors = inputs
        found = [self._image(*of_one, anchors) for of_one in zip(scores, deltas, info)]
        columns = anchors.shape[1] + 1
        rois = [np.insert(boxes, 0, np.float32(i), 1) for i, (boxes, _) in enumerate(found)]
        outputs[0] = np.concatenate([np.empty((0, columns), np.float32), *rois])
        outputs[1] = np.concatenate([np.empty(0, np.float32), *(probs for _, probs in found)])

    def _image(
        self, scores: np.ndarray, deltas: np.ndarray, info: np.ndarray, anchors: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and scores of one image's proposals."""
        count, height, width = scores.shape
        order = best(scores.ravel(), self.args.pre_nms_topN)
        a, y, x = np.unravel_index(order, scores.shape) if order.size else np.empty((3, 0), np.intp)
        stride = np.float32(1.0 / np.float64(np.float32(self.args.spatial_scale)))
        moved = anchors[a]
        moved[:, 0] += x.astype(np.float32) * stride
        moved[:, 1] += y.astype(np.float32) * stride
        if anchors.shape[1] == 4:
            moved[:, 2] += x.astype(np.float32) * stride
            moved[:, 3] += y.astype(np.float32) * stride
        own = deltas.reshape(count, anchors.shape[1], height, width)[a, :, y, x]
        boxes = self.boxes.transform(moved, own, [1.0] * 4)
        _check_info(info)
        boxes = self.boxes.clip(boxes, int(info[0]), int(info[1]))
        chosen = self.boxes.large_and_inside(boxes, self.args.min_size, info)
        top = self.args.post_nms_topN
        keep = _boxes.nms(
            np.ascontiguousarray(boxes), chosen, self.args.nms_thresh, top if top > 0 else -1, bool(self.boxes.plus_one)
        )
        return boxes[keep], scores.ravel()[order[keep]]


def _check_info(*sizes: Any) -> None:
    """ShapeError unless all of these are finite numbers."""
    for size in sizes:
        if not np.isfinite(size).all():
            raise ShapeError(f"im_info must hold finite numbers (height, width, scale), not {sizes[0].tolist()}")


@register("BBoxTransform")
class BBoxTransform(PythonOperator):
    """Boxes of each image and class, moved by their deltas and clipped."""

    takes = "float"

    def setup(self) -> None:
        self.boxes = BoxArguments(self.args)
        self.box_dim = 5 if self.args.rotated else 4
        if len(self.args.weights) != 4:
            raise ArgumentError(f"argument weights has {len(self.args.weights)} numbers; it must have 4")
        if self.args.rotated:
            self.boxes.check_angles()

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        rois, deltas, info = inputs
        counts = self._counts(rois, len(info))
        begin = 0
        # A few thousand numbers at once: intermediate arrays that large stay in the cache, and their memory is reused.
        rows = max(1, CHUNK // max(deltas.shape[1], 1))
        for i, count in enumerate(counts.tolist()):
            for first in range(begin, begin + count, rows):
                part = slice(first, min(first + rows, begin + count))
                outputs[0][part] = self._image(rois[part, -self.box_dim :], deltas[part], info[i])
            begin += count
        if len(outputs) > 1:
            outputs[1][...] = counts

    def _counts(self, rois: np.ndarray, images: int) -> np.ndarray:
        """RoIs of each image."""
        if rois.shape[1] == self.box_dim:
            return np.array([len(rois)])
        if not ((rois[:, 0] > -1) & (rois[:, 0] < images)).all():
            bad = int(np.flatnonzero(~((rois[:, 0] > -1) & (rois[:, 0] < images)))[0])
            raise ShapeError(f"RoI {bad} belongs to image {rois[bad, 0]:g}, but im_info has {images}")
        return np.bincount(rois[:, 0].astype(np.int64), minlength=images)

    def _image(self, rois: np.ndarray, deltas: np.ndarray, info: np.ndarray) -> np.ndarray:
        scale = info[2]
        _check_info(info, *info[:2] / scale if scale else (np.inf,))
        height, width = (int(float(v / scale) + 0.5) for v in info[:2])
        boxes = rois.copy()
        boxes[:, :4] /= scale
        per_class = deltas.reshape(len(deltas), deltas.shape[1] // self.box_dim, self.box_dim)
        out = self.boxes.clip(self.boxes.transform(boxes[:, None], per_class, self.args.weights), height, width)
        if self.args.apply_scale:
            out[..., :4] *= scale
        return out.reshape(deltas.shape)
