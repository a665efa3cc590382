"""BatchMatMul of uint16, engine DNNLOWP_16."""

from __future__ import annotations

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.wide import Wide, WideOperator
from serverquant.qparams import QParams
from serverquant.runtime.registry import register


@register("BatchMatMul", engine=wide.ENGINE)
class WideBatchMatMul(WideOperator):
    """Y = A B of whole numbers, exact sums requantized. B is an activation always: constant_B has no effect."""

    def is_bare(self, inputs: list[Blob], output: Blob) -> bool:
        matrix_dims = sum(len(blob.dims) > 1 for blob in inputs)
        return 0 in output.dims[: len(output.dims) - matrix_dims]

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        a, b = ins[0].centred, ins[1].centred
        a = a.swapaxes(-1, -2) if self.args.trans_a and a.ndim > 1 else a
        b = b.swapaxes(-1, -2) if self.args.trans_b and b.ndim > 1 else b
        acc = wide.product(a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b)
        scale = np.float32(ins[0].params.scale) * np.float32(ins[1].params.scale)
        return wide.requantize(acc, scale / np.float32(out.scale), out)
