"""Object detection: proposals, regions of interest, boxes, keypoints.

RoIAlign, RoIAlignRotated and RoIPool are native steps. The others are Python steps: numpy, and `kernels/boxes` for
non-maximum suppression. But for BBoxTransform and HeatmapMaxKeypoint the number of boxes that come out depends on values,
so they end a segment of the plan.
"""
