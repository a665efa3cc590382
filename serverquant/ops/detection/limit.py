"""BoxWithNMSLimit."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs.spec import Spec
from serverquant.kernels.boxes import _boxes
from serverquant.ops.detection.boxes import best
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import PythonOperator
from serverquant.runtime.registry import register

Detections = tuple[np.ndarray, np.ndarray, np.ndarray]  # scores, boxes, rows; those of one class


@register("BoxWithNMSLimit")
class BoxWithNMSLimit(PythonOperator):
    """Detections of each image, class by class."""

    takes = ("float", "float", "float|int32")

    def setup(self) -> None:
        if self.args.soft_nms_method not in ("linear", "gaussian"):
            method = self.args.soft_nms_method
            raise ArgumentError(f"argument soft_nms_method is {method}; it must be linear or gaussian")
        if len(self.outputs) == 5:
            raise ArgumentError("output keeps comes with keeps_size: give 3, 4 or 6 outputs")
        self.box_dim = 5 if self.args.rotated else 4

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        scores, boxes = ins[0].dims, ins[1].dims
        for i, dims in enumerate((scores, boxes)):
            if len(dims) != 2 and (len(dims) != 4 or dims[2:] != (1, 1)):
                raise self.shape_error(ins, i, "2 dimensions, or 4 of which the last two are 1")
        want = self.box_dim * (self._box_class(scores[1] - 1) + 1)
        if boxes[0] != scores[0] or boxes[1] != want:
            raise self.shape_error(ins, 1, f"{scores[0]} x {want} for scores of {scores[1]} classes")
        if len(ins) > 2 and ins[2].ndim != 1:
            raise self.shape_error(ins, 2, "1 dimension")
        return super().plan(ins, outs)

    def _box_class(self, c: int) -> int:
        """Where the boxes of class c are; class 0 is the background."""
        return 0 if self.args.cls_agnostic_bbox_reg else c - (not self.args.input_boxes_include_bg_cls)

    def _score_class(self, c: int) -> int:
        return c - (not self.args.input_boxes_include_bg_cls)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        scores, boxes = (x.reshape(x.shape[:2]) for x in inputs[:2])
        borders = self._borders(inputs[2] if len(inputs) > 2 else np.array([len(scores)]), len(scores))
        images = [self._image(scores[a:b], boxes[a:b]) for a, b in itertools.pairwise(borders)]
        flat = [of_class for image in images for of_class in image]
        sizes = np.array([[len(of_class[0]) for of_class in image] for image in images], np.int32)
        sizes = sizes.reshape(len(images), -1)
        first = int(self.args.output_classes_include_bg_cls)
        classes = np.tile(np.arange(first, first + sizes.shape[1], dtype=np.float32), len(images))
        outputs[0] = np.concatenate([np.empty(0, np.float32), *(d[0] for d in flat)])
        outputs[1] = np.concatenate([np.empty((0, self.box_dim), np.float32), *(d[1] for d in flat)])
        outputs[2] = np.repeat(classes, sizes.ravel())
        if len(outputs) > 3:
            outputs[3] = sizes.sum(1).astype(np.float32)
        if len(outputs) > 4:
            outputs[4] = np.concatenate([np.empty(0, np.int32), *(d[2] for d in flat)])
            outputs[5] = np.zeros((len(images), scores.shape[1]), np.int32)
            outputs[5][:, 1:] = sizes

    def _borders(self, splits: np.ndarray, rows: int) -> np.ndarray:
        """First rows of the images, and the end."""
        counts = splits.astype(np.int64)
        if (splits < 0).any() or splits.sum() != rows or counts.sum() != rows:
            raise ShapeError(f"batch_splits {splits[:8].tolist()} must not be negative, and add up to the {rows} boxes")
        return np.concatenate([[0], np.cumsum(counts)])

    def _image(self, scores: np.ndarray, boxes: np.ndarray) -> list[Detections]:
        """Detections of one image for every class but the background."""
        found = [self._class(scores, boxes, c) for c in range(1, scores.shape[1])]
        limit = self.args.detections_per_im
        if limit <= 0 or sum(len(d[0]) for d in found) <= limit:
            return found
        order = best(np.concatenate([d[0] for d in found]), limit)
        owner = np.repeat(np.arange(len(found)), [len(d[0]) for d in found])[order]
        starts = np.cumsum([0, *(len(d[0]) for d in found)])
        limited = []
        for c, (own_scores, own_boxes, rows) in enumerate(found):
            keep = order[owner == c] - starts[c]
            limited.append((own_scores[keep], own_boxes[keep], rows[keep]))
        return limited

    def _class(self, scores: np.ndarray, boxes: np.ndarray, c: int) -> Detections:
        at = self._box_class(c) * self.box_dim
        own = np.ascontiguousarray(boxes[:, at : at + self.box_dim])
        score = scores[:, self._score_class(c)].copy()
        chosen = np.flatnonzero(score > np.float32(self.args.score_thresh)).astype(np.int32)
        plus_one = bool(self.args.legacy_plus_one)
        if self.args.soft_nms_enabled:
            keep = _boxes.soft_nms(
                own,
                score,
                chosen,
                self.args.soft_nms_method == "gaussian",
                self.args.soft_nms_sigma,
                self.args.nms,
                self.args.soft_nms_min_score_thres,
                plus_one,
            )
        else:
            keep = _boxes.nms(own, chosen[best(score[chosen], 0)], self.args.nms, -1, plus_one)
        return score[keep], own[keep], keep
