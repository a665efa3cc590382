"""Operators that choose parameters of tensors, and equalization scales of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant._base.errors import OperatorError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import OBJECT, Spec
from serverquant.ops._arrays import Arrays
from serverquant.ops.dnnlowp.options import read_kind
from serverquant.qparams import QParams, choose, choose_weight
from serverquant.qparams.scheme import QuantScheme
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register

BITS = 8


class ObjectOperator(Operator):
    """Writes an object; `make(inputs)` gives it."""

    def infer(self, ins: list[Spec]) -> list[Spec]:
        return [Spec((), 0, OBJECT)]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(lambda inputs, outputs: outputs[0].feed_object(self.make(inputs)))

    def make(self, inputs: list[Blob]) -> Any:
        raise NotImplementedError


def scheme_of(blob: Blob) -> QuantScheme:
    """The scheme in a blob; OperatorError if it holds something else."""
    if not isinstance(blob.value, QuantScheme):
        raise OperatorError(f'blob "{blob.name}" ({blob.value!r}) holds no scheme of quantization')
    return blob.value


def params_of(blob: Blob) -> QParams:
    """The parameters in a blob; OperatorError if it holds something else."""
    if not isinstance(blob.value, QParams):
        raise OperatorError(f'blob "{blob.name}" ({blob.value!r}) holds no quantization parameters')
    return blob.value


@register("Int8QuantSchemeBlobFill")
class Int8QuantSchemeBlobFill(ObjectOperator):
    """A scheme from arguments."""

    tells = dtypes.STRING

    def setup(self) -> None:
        read_kind("argument quantization_kind", self.args.quantization_kind)

    def make(self, inputs: list[Blob]) -> QuantScheme:
        return QuantScheme(self.args.quantization_kind, self.args.preserve_sparsity)


@register("Int8GenQuantParams")
class Int8GenQuantParams(ObjectOperator):
    """Parameters of values, by the kinds that weights are quantized by."""

    takes = ("float", "object")
    tells = dtypes.FLOAT

    def make(self, inputs: list[Blob]) -> QParams:
        scheme = scheme_of(inputs[1])
        kind = read_kind("the kind of the scheme", scheme.kind)
        signed = choose_weight(inputs[0].view(), kind, BITS, scheme.preserve_sparsity)
        return QParams(signed.scale, signed.zero_point + (1 << (BITS - 1)))


@register("Int8GenQuantParamsMinMax")
class Int8GenQuantParamsMinMax(ObjectOperator):
    """Parameters of a range."""

    takes = ("float", "float", "object")
    tells = dtypes.FLOAT

    def make(self, inputs: list[Blob]) -> QParams:
        scheme = scheme_of(inputs[2])
        lo, hi = (float(blob.view().reshape(-1)[0]) for blob in inputs[:2])
        return choose(lo, hi, BITS, scheme.preserve_sparsity)

    def check_types(self, ins: list[Spec]) -> None:
        super().check_types(ins)
        for i in (0, 1):
            if ins[i].size != 1:
                raise self.shape_error(ins, i, "one element")


@register("ComputeEqualizationScale")
class ComputeEqualizationScale(Arrays):
    """Scales from the largest values of columns."""

    accepts = (("float",),)

    def compute(self, *inputs: Any) -> Any:
        x, w = (np.abs(array).reshape(len(array), -1).max(0) for array in inputs)
        scale = np.ones_like(x)
        there = (x > 0) & (w > 0)
        scale[there] = np.sqrt(w[there] / x[there])
        return scale
