"""Engine DNNLOWP_16: tensors of uint16. Caffe2 runs slow loops for them; here the bodies are numpy.

The values have `activation_precision` bits, 8 unless the argument says more, and weights `weight_precision`. Rules are
those of engine DNNLOWP, but floats are quantized with two roundings whatever the bits, and sums larger than int32 after
requantization become the largest value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import INT8, TENSOR, Spec
from serverquant.kernels.quantize import _quantize
from serverquant.ops.dnnlowp.options import Options, read_options
from serverquant.ops.dnnlowp.quantized import as_float, float_operator
from serverquant.qparams import QParams, choose_weight, dequantize, quantize_bias
from serverquant.qparams import quantize as quantize_bytes
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.late import run_late
from serverquant.runtime.operator import Operator

ENGINE = "DNNLOWP_16"
ROWWISE = "DNNLOWP_ROWWISE_16"
BITS = 16
BIAS_SCALE_TOLERANCE = 1e-4  # absolute, as in Caffe2


class Wide(NamedTuple):
    """A quantized input. q: its integers."""

    q: np.ndarray
    params: QParams

    @property
    def centred(self) -> np.ndarray:
        """int64, the zero point taken off."""
        return self.q.astype(np.int64) - self.params.zero_point


class WideOperator(Operator):
    """Base class: inputs of `quantized` are Int8 of uint16, or floats that are quantized by their range in this run;
    the output's parameters are fixed, or those of the range that the float operator gives for the dequantized inputs.

    Subclasses give `compute(inputs, ins, out)`: the output's integers from the inputs in `quantized`, for these
    parameters. bits: 8 for an operator of engine DNNLOWP that has a numpy body too.
    """

    bits = BITS
    takes: str | tuple[str, ...] = "int8:uint16|float"
    quantized: tuple[int, ...] | None = None  # None: all inputs

    def setup(self) -> None:
        self.relu = self.type.endswith("Relu")
        self.options = read_options(self, self.relu, self.bits)
        if self.options.weight_scales:
            raise ArgumentError(f"argument weight_scales is for engine DNNLOWP, not {self.definition.engine}")
        self.floats = float_operator(self)

    def infer(self, ins: list[Spec]) -> list[Spec] | None:
        outs = self.floats.infer([as_float(spec) for spec in ins])
        kind = (dtypes.UINT16 if self.bits == BITS else dtypes.UINT8, INT8)
        if self.options.dequantize_output:
            kind = (dtypes.FLOAT, TENSOR)
        return None if outs is None else [Spec(outs[0].dims, *kind)]

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call_quietly)

    def call_quietly(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Without numpy's warnings of what is no number or too large: it has its rules."""
        with np.errstate(all="ignore"):
            self.call(inputs, outputs)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        if outputs[0].kind == INT8 and self.is_bare(inputs, outputs[0]):
            outputs[0].set_qparams(1.0, 0)
            return
        ins = [self.read(inputs[i]) for i in self.quantized or range(len(inputs))]
        out = self.output_params(inputs, ins)
        put(outputs[0], self.compute(inputs, ins, out).astype(f"u{self.bits // 8}"), out)

    def is_bare(self, inputs: list[Blob], output: Blob) -> bool:
        """Whether the output is empty and has the parameters of a new tensor, as in Caffe2."""
        return False

    def read(self, blob: Blob) -> Wide:
        """An Int8 tensor with its parameters, or a float tensor quantized by its range."""
        if blob.kind == INT8:
            return Wide(blob.view(), QParams(blob.scale, blob.zero_point, self.options.activation_precision))
        params = self.options.choose(*value_range(blob.view()))
        return Wide((quantize if self.bits == BITS else quantize_bytes)(blob.view(), params), params)

    def output_params(self, inputs: list[Blob], ins: list[Wide]) -> QParams:
        """The output's parameters in this run."""
        if self.options.output is not None:
            return self.options.output
        return self.options.choose_output(*value_range(self.run_floats(inputs)))

    def run_floats(self, inputs: list[Blob]) -> np.ndarray:
        """What the float operator gives for the dequantized inputs."""
        floats = [as_floats(blob) for blob in inputs]
        outputs = [Blob(name) for name in self.floats.outputs]
        run_late(self.floats, floats, outputs)
        return outputs[0].fetch()

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        raise NotImplementedError


class WideKept(WideOperator):
    """Base class of operators that move or compare values: the output has input 0's parameters."""

    def output_params(self, inputs: list[Blob], ins: list[Wide]) -> QParams:
        return ins[0].params

    def compute(self, inputs: list[Blob], ins: list[Wide], out: QParams) -> np.ndarray:
        """By the float operator, which 16 bits go through unchanged."""
        whole = Blob(inputs[0].name)
        whole.feed(ins[0].q.astype(np.float32))
        return self.run_floats([whole, *inputs[1:]])


def put(blob: Blob, q: np.ndarray, params: QParams) -> None:
    """Write integers to an Int8 blob, or what they stand for to a float one."""
    if blob.kind != INT8:
        blob.view()[...] = dequantize(q, params).reshape(blob.dims)
        return
    blob.view()[...] = q.reshape(blob.dims)
    blob.set_qparams(params.scale, params.zero_point)


def as_floats(blob: Blob) -> Blob:
    """A float blob of what an Int8 tensor stands for; others as they are."""
    if blob.kind != INT8:
        return blob
    floats = Blob(blob.name)
    floats.feed(dequantize(blob.view(), QParams(blob.scale, blob.zero_point)))
    return floats


def value_range(values: np.ndarray) -> tuple[float, float]:
    """(min, max) of floats as activations are searched; (0, 0) of none."""
    return _quantize.py_min_max(np.ascontiguousarray(values, np.float32).reshape(-1))


def quantize(x: np.ndarray, params: QParams) -> np.ndarray:
    """Floats to uint16 (int16 for signed parameters), rounded twice, in x's shape."""
    flat = np.ascontiguousarray(x, np.float32).reshape(-1)
    y = np.empty(flat.size, np.int16 if params.is_signed else np.uint16)
    rule = _quantize.py_quantize_wide_s16 if params.is_signed else _quantize.py_quantize_wide_u16
    rule(flat, y, params.scale, params.zero_point, params.precision)
    return y.reshape(np.shape(x))


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b of int64 below 2^17. As doubles, for which numpy has fast products, while their sums are exact."""
    if a.shape[-1] > 1 << (53 - 2 * 17):
        return a @ b
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def requantize(acc: np.ndarray, multiplier: np.ndarray | np.float32, out: QParams, relu: bool = False) -> np.ndarray:
    """clamp(rne(f32(f32(acc) * multiplier)) + z) of sums modulo 2^32. Products beyond int64, and what is no number,
    become the lower end."""
    scaled = np.rint(acc.astype(np.int32).astype(np.float32) * multiplier).astype(np.float64)
    whole = np.where(np.abs(scaled) < 2.0**63, scaled, -(2.0**63)).astype(np.int64)
    lo = out.zero_point if relu else 0
    return np.clip(np.maximum(whole, -(1 << 40)) + out.zero_point, lo, out.qmax)


@dataclass(eq=False)
class WideWeight:
    """Quantized weights in their blob's shape, zero points taken off, and the scale of each of its blocks."""

    centred: np.ndarray
    scales: np.ndarray

    @property
    def nbytes(self) -> int:
        return int(self.centred.nbytes + self.scales.nbytes)


def weight(blob: Blob, blocks: int, options: Options) -> WideWeight:
    """Float weights quantized to int16, each of `blocks` equal runs by parameters of its own, or Int8 ones of uint16;
    once for all nets that use this version of them in this way."""

    def make() -> WideWeight:
        values = blob.view()
        if blob.kind == INT8:
            return WideWeight(values.astype(np.int64) - blob.zero_point, np.full(blocks, blob.scale, np.float32))
        parts = values.reshape(blocks, -1)
        params = [choose_weight(part, *options.weight_choice) for part in parts]
        centred = [quantize(part, p).astype(np.int64) - p.zero_point for part, p in zip(parts, params)]
        return WideWeight(np.stack(centred).reshape(values.shape), np.array([p.scale for p in params], np.float32))

    return blob.packed(("wide", blocks, options), make)


def bias(blob: Blob, scales: np.ndarray) -> np.ndarray:
    """int64 [n] of a float bias, quantized by the scale of each entry, or of an int32 one, which must have about the
    first of them."""
    if blob.kind != INT8:
        values = blob.view().reshape(-1)
        runs = np.flatnonzero(np.concatenate([[True], scales[1:] != scales[:-1]]))
        parts = [quantize_bias(part, part_scale) for part, part_scale in zip(np.split(values, runs[1:]), scales[runs])]
        return np.concatenate(parts).astype(np.int64)
    if abs(blob.scale - float(scales[0])) > BIAS_SCALE_TOLERANCE or blob.zero_point != 0:
        raise QuantizationError(
            f'the bias "{blob.name}" has scale {blob.scale:.9g} and zero point {blob.zero_point}; the scale must be '
            f"within 1e-4 of the input's scale times the weight's, {scales[0]:.9g}, and the zero point 0"
        )
    return blob.view().reshape(-1).astype(np.int64)
