"""Regions of interest, point by point."""

from __future__ import annotations

import math

import numpy as np

f32 = np.float32


def _axis(v, size):
    v = min(max(v, f32(0)), f32(size - 1))
    low = int(v)
    return low, min(low + 1, size - 1), f32(v - f32(low))


def _value(plane, y, x):
    """Interpolated from four pixels; 0 more than a pixel outside."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return None
    y0, y1, ly = _axis(y, height)
    x0, x1, lx = _axis(x, width)
    hy, hx = f32(1) - ly, f32(1) - lx
    return hy * hx * plane[y0, x0] + hy * lx * plane[y0, x1] + ly * hx * plane[y1, x0] + ly * lx * plane[y1, x1]


def align(x, rois, pooled_h, pooled_w, scale=1.0, ratio=0, aligned=False):
    """RoIAlign of NCHW maps by RoIs with the image's index."""
    out = np.zeros((len(rois), x.shape[1], pooled_h, pooled_w), f32)
    offset, scale = f32(0.5 if aligned else 0), f32(scale)
    for n, roi in enumerate(rois):
        x1, y1, x2, y2 = (v * scale - offset for v in roi[1:])
        w, h = x2 - x1, y2 - y1
        if not aligned:
            w, h = max(w, f32(1)), max(h, f32(1))
        bin_h, bin_w = h / f32(pooled_h), w / f32(pooled_w)
        grid_h, grid_w = ratio or math.ceil(bin_h), ratio or math.ceil(bin_w)
        for c, ph, pw in np.ndindex(out.shape[1:]):
            total = f32(0)
            for iy, ix in np.ndindex(grid_h, grid_w):
                y = y1 + f32(ph) * bin_h + f32(iy + 0.5) * (bin_h / f32(grid_h))
                x_ = x1 + f32(pw) * bin_w + f32(ix + 0.5) * (bin_w / f32(grid_w))
                value = _value(x[int(roi[0]), c], y, x_)
                total = total if value is None else total + value
            out[n, c, ph, pw] = total * (f32(1) / f32(grid_h * grid_w))
    return out
