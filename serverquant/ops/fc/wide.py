"""Fully connected layers of uint16, engines DNNLOWP_16 and DNNLOWP_ROWWISE_16."""

from __future__ import annotations

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, Spec
from serverquant.ops.dnnlowp import wide
from serverquant.ops.dnnlowp.wide import Wide, WideOperator
from serverquant.ops.fc.schema import check_not_empty, is_by_row, weight_matrix
from serverquant.qparams import QParams
from serverquant.runtime.registry import register


@register("FC", engine=wide.ROWWISE)
@register("FC", engine=wide.ENGINE)
class WideFC(WideOperator):
    """Y = requantized exact sums, or with dequantize_output=1 as floats. W: float or Int8 of uint16.

    Like engine DNNLOWP, it keeps multiplier and output parameters of its first run, unless defects are to be fixed.
    """

    takes = ("int8:uint16|float", "float|int8:uint16", "float|int8:int32")
    quantized = (0,)

    def setup(self) -> None:
        super().setup()
        self.by_row = is_by_row(self)
        self.fix = self.definition.fix_defects
        self.first: tuple[float, QParams] | None = None
        if not self.args.constant_weight:
            self.options = self.options.with_kind("min_max")

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        check_not_empty(self, ins)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        if not self.options.dequantize_output:
            return super().call(inputs, outputs)
        x = self.read(inputs[0])
        acc, scales = self.sums(inputs, x)
        bias = inputs[2].view().reshape(-1)
        if inputs[2].kind == INT8:
            bias = bias.astype(np.float32) * scales
        # Caffe2 rounds once: the product of two singles is exact in double precision
        y = acc.astype(np.int32).astype(np.float32).astype(np.float64) * scales + bias
        outputs[0].view()[...] = y.astype(np.float32).reshape(outputs[0].dims)
        return None

    def output_params(self, inputs: list[Blob], ins: list[Wide]) -> QParams:
        if self.fix:
            return super().output_params(inputs, ins)
        if self.first is None:
            self.first = ins[0].params.scale, super().output_params(inputs, ins)
        return self.first[1]

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        acc, scales = self.sums(inputs, ins[0])
        acc += wide.bias(inputs[2], scales if self.fix or not self.by_row else np.full_like(scales, scales[0]))
        if not self.fix:
            assert self.first is not None
            scales = np.float32(self.first[0]) * self.weight_scales(inputs[1], len(scales))
        return wide.requantize(acc, scales / np.float32(out.scale), out, self.relu)

    def sums(self, inputs: list[Blob], x: Wide) -> tuple[np.ndarray, np.ndarray]:
        """Exact sums [M, N] without bias, and the scale of each column's units."""
        n, k = weight_matrix(self, inputs[1].dims)
        weight = wide.weight(inputs[1], self._blocks(n), self.options)
        acc = wide.product(x.centred.reshape(-1, k), weight.centred.reshape(n, k).T)
        return acc, np.float32(x.params.scale) * self.weight_scales(inputs[1], n)

    def weight_scales(self, blob: Blob, n: int) -> np.ndarray:
        scales = wide.weight(blob, self._blocks(n), self.options).scales
        return np.repeat(scales, n // len(scales))

    def _blocks(self, n: int) -> int:
        return n if self.by_row else 1
