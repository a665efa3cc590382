"""Fully connected layers with weights of half precision: FbGemmPack, FbGemmPackTranspose, FbFCPacked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serverquant._base.errors import OperatorError
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT, Spec
from serverquant.kernels.gemm_f32._gemm_f32 import PackedWeightF32, pack, unpack
from serverquant.ops.fc import _fc
from serverquant.ops.fc.schema import TURNED, weight_matrix
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register
from serverquant.runtime.schema import axis_of

LARGEST = np.float32(65504)


@dataclass(eq=False, repr=False)
class PackedHalf:
    """Weights [n, k] that were rounded to half precision, packed as floats: sums are float anyway."""

    dims: tuple[int, int]
    weight: PackedWeightF32

    @property
    def nbytes(self) -> int:
        return int(self.weight.nbytes)

    @property
    def matrix(self) -> np.ndarray:
        """The weights as they were packed: float32 [n, k]."""
        return unpack(self.weight, self.dims, pack)

    def __repr__(self) -> str:
        return f"<weights {self.dims[0]}x{self.dims[1]} of half precision packed for FbFCPacked>"


def round_to_half(weight: np.ndarray) -> np.ndarray:
    """The nearest half-precision values, ties to even. As in Caffe2, what lies beyond the largest becomes the largest,
    and NaN the lowest."""
    limited = np.where(np.isnan(weight), -LARGEST, np.clip(weight, -LARGEST, LARGEST))
    return limited.astype(np.float16).astype(np.float32)


@register("FbGemmPack", "FbGemmPackTranspose")
class FbGemmPack(Operator):
    """Packed weights from W."""

    takes = "float"

    def infer(self, ins: list[Spec]) -> list[Spec]:
        return [Spec(weight_matrix(self, ins[0].dims), 0, OBJECT)]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        n, k = weight_matrix(self, inputs[0].dims)
        weight = round_to_half(inputs[0].view())
        matrix = weight.reshape(k, n).T if self.type in TURNED else weight.reshape(n, k)
        outputs[0].feed_object(PackedHalf((n, k), pack(matrix)))


@register("FbFCPacked")
class FbFCPacked(Operator):
    """Y = X W^T + b with packed W."""

    takes = ("float", "object", "float")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        n, k = ins[1].dims
        step = _fc.float_step(n, k, batched=axis_of(self.args.axis, ins[0].ndim, extra=1) > 0)
        step.prepare = lambda inputs, outputs: _prepare(step, inputs[1])
        return step


def _prepare(step: Step, blob: Blob) -> None:
    if not isinstance(blob.value, PackedHalf):
        raise OperatorError(f'blob "{blob.name}" ({blob.value!r}) holds no weights packed by FbGemmPack')
    _fc.set_float_weight(step, blob.value.weight, blob.version)
