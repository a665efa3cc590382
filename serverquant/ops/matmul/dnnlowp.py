"""BatchMatMul of Int8 tensors, engine DNNLOWP."""

from __future__ import annotations

from functools import partial

import numpy as np

from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.ops.dnnlowp.options import Options
from serverquant.ops.dnnlowp.quantized import QuantizedOperator
from serverquant.ops.dnnlowp.weights import quantize_blocks, read_weight
from serverquant.ops.matmul import _int8, _matmul
from serverquant.runtime._plan import Step
from serverquant.runtime.registry import register


@register("BatchMatMul", "Int8BatchMatMul", engine="DNNLOWP")
class DnnlowpBatchMatMul(QuantizedOperator):
    """Y = A B of whole numbers, exact sums requantized (or, with dequantize_output, times both scales).

    constant_B: B is quantized as weights are, once for each version of its blob, every matrix by its own parameters.
    Otherwise both are activations, quantized by their ranges in this run if they are float.
    """

    def quantized(self, ins: list[Spec], outs: list[Spec], floats: Step) -> Step:
        trans = {
            "trans_a": self.args.trans_a and ins[0].ndim > 1,
            "trans_b": self.args.trans_b and ins[1].ndim > 1,
        }
        floats = _matmul.batch_step(**trans, varies=True)  # B is dequantized anew at every run
        step = _int8.product_step(self.options, floats, **trans, constant=self.args.constant_B)
        step.prepare = partial(self.prepare, step)
        return step

    def prepare(self, step: Step, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Quantize B once for all nets that use this version of it in this way."""
        blob = inputs[1]
        key = "matmul_s16", self.args.trans_b, self.options
        weight, scales = blob.packed(key, lambda: pack(blob, self.args.trans_b, self.options))
        _int8.set_weight(step, weight, scales, blob.version)


def pack(blob: Blob, trans: bool, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """(int16 [count, n, k], float32 [count]) of a blob [..., k, n], or [..., n, k] with `trans`, or [k]."""
    dims = blob.dims if len(blob.dims) > 1 else (*blob.dims, 1)
    count = int(np.prod(dims[:-2], dtype=np.int64))
    if 0 in dims:
        return np.zeros((1, 1, 1), np.int16), np.zeros(max(count, 1), np.float32)
    if blob.spec().is_int8:
        values, params = read_weight(blob, 1, options)
        params = params * count
    else:
        values, params = quantize_blocks(blob.view(), count, options)
    matrices = values.reshape(count, *dims[-2:]).astype(np.int16)
    matrices -= np.array([p.zero_point for p in params], np.int16)[:, None, None]
    rows = matrices if trans and len(blob.dims) > 1 else matrices.transpose(0, 2, 1)
    return np.ascontiguousarray(rows), np.array([p.scale for p in params], np.float32)
