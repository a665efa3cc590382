"""Object detection: proposals, regions of interest, boxes, keypoints.

RoIAlign, RoIAlignRotated and RoIPool are native steps. The others are Python steps: numpy, and `kernels/boxes` for
non-maximum suppression. All of these but BBoxTransform and HeatmapMaxKeypoint end a segment of the plan: how many boxes
come out depends on values.
"""
