"""Fully connected layer of float tensors."""

from __future__ import annotations

from functools import partial

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.kernels.gemm_f32._gemm_f32 import PackedWeightF32, pack
from serverquant.ops.fc import _fc
from serverquant.ops.fc.schema import TURNED, weight_matrix
from serverquant.runtime._plan import Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


def packed_f32(blob: Blob, n: int, k: int) -> PackedWeightF32:
    """The float weights packed for the gemm, once for all nets that use this version of them."""
    return blob.packed(("gemm_f32", n, k), lambda: pack(blob.view().reshape(n, k)))


@register("FC", "FCTransposed")
class FC(Operator):
    """Y = X W^T + b, or X W + b, all float."""

    takes = "float"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        n, k = weight_matrix(self, ins[1].dims)
        step = _fc.float_step(n, k, batched=axis_of(self.args.axis, ins[0].ndim, extra=1) > 0)
        step.prepare = partial(self.prepare, step, n, k)
        return step

    def prepare(self, step: Step, n: int, k: int, inputs: list[Blob], outputs: list[Blob]) -> None:
        blob = inputs[1]
        if self.type in TURNED:
            weight = blob.packed(("gemm_f32", "turned", n, k), lambda: pack(blob.view().reshape(k, n).T))
        else:
            weight = packed_f32(blob, n, k)
        _fc.set_float_weight(step, weight, blob.version)
