"""BatchMatMul of uint16, engine DNNLOWP_16."""

from __future__ import annotations

import math

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.wide import Wide, WideOperator
from serverquant.qparams import QParams
from serverquant.runtime.registry import register


@register("BatchMatMul", engine=wide.ENGINE)
class WideBatchMatMul(WideOperator):
    """Y = A B of whole numbers, exact sums requantized (or, with dequantize_output, times both scales).

    constant_B: B is a weight, every matrix with parameters of its own.
    """

    def setup(self) -> None:
        super().setup()
        if self.args.constant_B:
            self.quantized = (0,)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        if not self.options.dequantize_output:
            return super().call(inputs, outputs)
        acc, multipliers = self.product(inputs, [self.read(inputs[i]) for i in self.quantized or (0, 1)])
        outputs[0].view()[...] = (acc.astype(np.int32).astype(np.float32) * multipliers).reshape(outputs[0].dims)
        return None

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        acc, multipliers = self.product(inputs, ins)
        return wide.requantize(acc, multipliers / np.float32(out.scale), out)

    def product(self, inputs: list[Blob], ins: list[Wide]) -> tuple[np.ndarray, np.ndarray]:
        """Exact sums, and the scales of their units: one, or one for each of B's matrices."""
        a, scale = ins[0].centred, np.float32(ins[0].params.scale)
        if self.args.constant_B:
            dims = inputs[1].dims
            found = wide.weight(inputs[1], self._matrices(inputs[1]), self.options)
            b, b_scales = found.centred, found.scales.reshape((*dims[:-2], 1, 1) if len(dims) > 2 else ())
        else:
            b, b_scales = ins[1].centred, np.float32(ins[1].params.scale)
        a = a.swapaxes(-1, -2) if self.args.trans_a and a.ndim > 1 else a
        b = b.swapaxes(-1, -2) if self.args.trans_b and b.ndim > 1 else b
        row, column = a.ndim == 1, b.ndim == 1
        acc = np.matmul(a[None] if row else a, b[:, None] if column else b)
        return acc, scale * b_scales

    def _matrices(self, blob: Blob) -> int:
        return 1 if blob.kind == INT8 else math.prod(blob.dims[:-2])
