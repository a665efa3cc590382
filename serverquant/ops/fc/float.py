"""Fully connected layer of float tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.kernels.gemm_f32._gemm_f32 import PackedWeightF32, pack, unpack
from serverquant.ops._bounds import TakesBounds
from serverquant.ops.fc import _fc
from serverquant.ops.fc.schema import TURNED, weight_matrix
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of


def packed_f32(blob: Blob, n: int, k: int) -> PackedWeightF32:
    """The float weights packed for the gemm, once for all nets that use this version of them."""
    return _packed(blob, ("gemm_f32", n, k), lambda weight: pack(weight.reshape(n, k)))


def _packed(blob: Blob, key: Hashable, how: Callable[[np.ndarray], PackedWeightF32]) -> PackedWeightF32:
    return blob.packed(key, lambda: how(blob.view()), partial(unpack, shape=blob.dims, pack_again=how))


@register("FC", "FCTransposed")
class FC(TakesBounds):
    """Y = X W^T + b, or X W + b, all float."""

    takes = "float"
    packs = (1,)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        n, k = weight_matrix(self, ins[1].dims)
        batched = axis_of(self.args.axis, ins[0].ndim, extra=1) > 0
        step = _fc.float_step(n, k, batched=batched, bounds=self.bounds)
        step.prepare = partial(self.prepare, step, n, k)
        return step

    def prepare(self, step: Step, n: int, k: int, inputs: list[Blob], outputs: list[Blob]) -> None:
        blob = inputs[1]
        if self.type in TURNED:
            weight = _packed(blob, ("gemm_f32", "turned", n, k), lambda weight: pack(weight.reshape(k, n).T))
        else:
            weight = packed_f32(blob, n, k)
        _fc.set_float_weight(step, weight, blob.version)
