"""Int8FC of the mobile set (no engine): fixed-point requantization."""

from __future__ import annotations

from functools import partial

from serverquant._base.errors import ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, Spec
from serverquant.ops.dnnlowp.chain import LAYER, Link
from serverquant.ops.dnnlowp.options import PLAIN, mobile_output
from serverquant.ops.dnnlowp.unpacking import fc_unpacker
from serverquant.ops.fc import _fc
from serverquant.ops.fc.dnnlowp import pack_weight, weight_key
from serverquant.ops.fc.schema import check_not_empty, fc_dims
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("Int8FC")
class MobileFC(Link):
    """Y = exact sums, requantized by a 31-bit fixed-point multiplier, which must be less than 1.

    X: Int8 of uint8, seen as dims[0] rows. W: Int8 of uint8, N x K. b: Int8 of int32, whose scale is not looked at.
    """

    takes = ("int8", "int8", "int8:int32")
    packs = (1,)

    def setup(self) -> None:
        self.output = mobile_output(self)
        # The mobile operator knows neither.
        self.args.axis = self.args.axis_w = 1

    def kind(self) -> int:
        return LAYER

    def infer(self, ins: list[Spec]) -> list[Spec]:
        if ins[1].ndim < 2 or not ins[0].ndim:
            raise ShapeError(f"{self.input_text(ins, 0)} and {self.input_text(ins, 1)} must have batch and row dims")
        check_not_empty(self, ins)
        return [Spec(fc_dims(self, ins)[0], dtypes.UINT8, INT8)]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        n, k = ins[1].dims[0], ins[1].size // ins[1].dims[0]
        step = _fc.mobile_step(n, k, self.output.scale, self.output.zero_point)
        step.prepare = partial(self.prepare, step, n, k)
        return step

    def prepare(self, step: Step, n: int, k: int, inputs: list[Blob], outputs: list[Blob]) -> None:
        blob = inputs[1]
        unpack = fc_unpacker(blob, PLAIN)
        weight = blob.packed(weight_key(n, False, PLAIN), lambda: pack_weight(blob, n, k, False, PLAIN), unpack)
        _fc.set_int8_weight(step, weight, blob.version)
