"""RoIAlign of the mobile set (no engine): NHWC, Int8 of uint8."""

from __future__ import annotations

from serverquant._base.errors import ArgumentError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import INT8, Spec
from serverquant.ops.detection import _roi
from serverquant.ops.detection.roi import RoIAlign
from serverquant.ops.detection.schema import is_nhwc
from serverquant.ops.dnnlowp.options import mobile_output
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Decline
from serverquant.runtime.registry import register


@register("Int8RoIAlign")
class MobileRoIAlign(RoIAlign):
    """Means of interpolated points in fixed point; sampling_ratio must be given."""

    takes = ("int8", "float")

    def setup(self) -> None:
        super().setup()
        if not is_nhwc(self):
            raise Decline("needs order NHWC")
        if self.args.sampling_ratio < 1:
            raise ArgumentError(
                f"argument sampling_ratio is {self.args.sampling_ratio}; Int8RoIAlign needs a fixed number of points, "
                "1 or more: without it Caffe2 mixes up the two sides of its grids"
            )
        self.output = mobile_output(self)

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.UINT8, INT8

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        a = self.args
        return _roi.roi_u8_step(
            ins[1].dims[1],
            a.pooled_h,
            a.pooled_w,
            a.spatial_scale,
            a.sampling_ratio,
            self.output.scale,
            self.output.zero_point,
        )
