"""Operators on regions of interest of a feature map."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.detection import _roi
from serverquant.ops.detection.schema import is_nhwc
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register


class Roi(Operator):
    """Cuts the RoIs of input 1 out of the maps of input 0. columns: how many a row of the RoIs may have."""

    takes: str | tuple[str, ...] = "float"
    columns: tuple[int, ...] = (4, 5)
    rotated = False

    def setup(self) -> None:
        a = self.args
        if a.order not in ("NCHW", "NHWC"):
            raise ArgumentError(f"argument order is {a.order}; it must be NCHW or NHWC")
        for name in ("pooled_h", "pooled_w", "spatial_scale"):
            if not getattr(a, name) > 0:
                raise ArgumentError(f"argument {name} is {getattr(a, name)}; it must be positive")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        a = self.args
        return _roi.roi_step(
            ins[1].dims[1],
            a.pooled_h,
            a.pooled_w,
            a.spatial_scale,
            sampling_ratio=a.sampling_ratio,
            aligned=a.aligned,
            rotated=self.rotated,
            nhwc=is_nhwc(self),
        )


@register("RoIAlign")
class RoIAlign(Roi):
    """Means of interpolated points."""

    def setup(self) -> None:
        super().setup()
        if self.args.sampling_ratio > _roi.GRID_MAX:
            raise ArgumentError(f"argument sampling_ratio is {self.args.sampling_ratio}; at most {_roi.GRID_MAX}")


@register("RoIAlignRotated")
class RoIAlignRotated(RoIAlign):
    """RoIAlign of rotated regions."""

    columns = (5, 6)
    rotated = True


@register("RoIPool")
class RoIPool(Roi):
    """The largest element of each bin."""

    columns = (5,)

    def setup(self) -> None:
        super().setup()
        if is_nhwc(self):
            raise ArgumentError("RoIPool takes order NCHW only")
        if len(self.outputs) != 2 - bool(self.args.is_test):
            raise ArgumentError("RoIPool has one output with is_test=1, and two without")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return (dtypes.INT32 if i else dtypes.FLOAT), TENSOR

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        a = self.args
        return _roi.roi_step(5, a.pooled_h, a.pooled_w, a.spatial_scale, pool=True)
