"""Weights of convolutions and fully connected layers: quantized by an operator's arguments, packed for a kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from serverquant._base.errors import ArgumentError, DTypeError, QuantizationError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import Spec
from serverquant.kernels.gemm._gemm import PackedWeight
from serverquant.ops.dnnlowp.options import Options
from serverquant.qparams import QParams, choose_weight, quantize, quantize_bias
from serverquant.runtime.operator import Operator


@dataclass(eq=False, repr=False)
class LayerWeight:
    """int8 weights packed for a kernel.

    scales: float32 [columns]. blocks: so many neighbouring columns share each scale (1, the groups, or all columns).
    bias, bias_scales: int32 and float32 [columns], when it was quantized together with the weights.
    pairs: int8 [9, columns], depthwise 3x3 weights whose sums saturate in Caffe2 (a defect), None for all others.
    """

    packed: PackedWeight
    scales: np.ndarray
    blocks: int
    bias: np.ndarray | None = None
    bias_scales: np.ndarray | None = None
    pairs: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        return int(self.packed.nbytes + self.scales.nbytes)


@dataclass(eq=False, repr=False)
class PackedLayer:
    """What a pack operator leaves in its output blob.

    of: "Int8Conv" or "Int8FC", which can use it. dims: of the weights. per_block: each row (or group) has parameters of
    its own. geometry: what the operator must agree with. unpacked: int8 [dims], if it was to be kept. past_int16: see
    acc16.py; None for weights that were packed without that engine.
    """

    of: str
    dims: tuple[int, ...]
    weight: LayerWeight
    per_block: bool
    geometry: dict[str, object] = field(default_factory=dict)
    unpacked: np.ndarray | None = None
    past_int16: int | None = None

    @property
    def nbytes(self) -> int:
        return self.weight.nbytes

    def __repr__(self) -> str:
        dims = "x".join(map(str, self.dims))
        return f"<weights {dims} packed for {self.of} ({self.weight.packed.row}, {self.nbytes} bytes)>"


def quantize_blocks(values: np.ndarray, blocks: int, options: Options) -> tuple[np.ndarray, list[QParams]]:
    """Float weights [columns, ...] to int8, each of `blocks` equal runs of columns by parameters of its own."""
    parts = values.reshape(blocks, -1)
    params = [choose_weight(part, *options.weight_choice) for part in parts]
    quantized = [quantize(part, p) for part, p in zip(parts, params)]
    return np.stack(quantized).reshape(values.shape), params


def read_weight(blob: Blob, blocks: int, options: Options) -> tuple[np.ndarray, list[QParams]]:
    """int8 weights from a float or Int8 blob, in its shape, and the parameters of its blocks. Int8 weights have one, or
    one a row with `options.weight_scales`."""
    if not blob.spec().is_int8:
        return quantize_blocks(blob.view(), blocks, options)
    if blob.spec().dtype != dtypes.UINT8:
        raise DTypeError(f'weights "{blob.name}" ({blob.spec()!r}) must be Int8 of uint8, or float')
    middle = 1 << (options.weight_precision - 1)
    signed = (blob.view().astype(np.int16) - middle).astype(np.int8)
    whole = QParams(blob.scale, blob.zero_point - middle, options.weight_precision, True)
    return signed, [whole._replace(scale=scale) for scale in options.weight_scales or (blob.scale,)]


def check_weight_scales(op: Operator, ins: list[Spec], scales: tuple[float, ...]) -> None:
    """ArgumentError unless the argument weight_scales, if given, goes with the Int8 weights of input 1."""
    if not scales:
        return
    if not ins[1].is_int8:
        raise ArgumentError(f"argument weight_scales goes with Int8 weights; {op.input_text(ins, 1)} is something else")
    if len(scales) != ins[1].dims[0]:
        raise ArgumentError(
            f"argument weight_scales has {len(scales)} entries, but weights {op.input_text(ins, 1)} have "
            f"{ins[1].dims[0]} outputs"
        )


def spread(params: list[QParams], columns: int) -> tuple[np.ndarray, np.ndarray]:
    """(float32 scales, int32 zero points), an entry for each column."""
    each = columns // len(params)
    scales = np.repeat(np.array([p.scale for p in params], np.float32), each)
    return scales, np.repeat(np.array([p.zero_point for p in params], np.int32), each)


def pack_bias(op: Operator, blob: Blob, weight: LayerWeight) -> np.ndarray:
    """int32 [columns] from a float bias, by the scale in_scale * weight scale of each column, or from an Int8 one."""
    if op.args.in_scale is None:
        raise ArgumentError("argument in_scale is needed to quantize the bias")
    if not 0 < op.args.in_scale < float("inf"):
        raise ArgumentError(f"argument in_scale must be a positive finite number, not {op.args.in_scale}")
    scales = np.float32(op.args.in_scale) * weight.scales
    if not blob.spec().is_int8:
        values = blob.view().reshape(-1)
        return np.concatenate([quantize_bias(values[i : i + 1], s) for i, s in enumerate(scales)])
    if abs(float(blob.scale) - float(scales[0])) > 1e-4 or blob.zero_point != 0:
        raise QuantizationError(
            f'the bias "{blob.name}" has scale {blob.scale:.9g} and zero point {blob.zero_point}; the scale must be '
            f"within 1e-4 of in_scale * weight scale, {scales[0]:.9g}, and the zero point 0"
        )
    return blob.fetch().reshape(-1)


def check_packed(op: Operator, blob: Blob, of: str, per_block: bool, geometry: dict[str, object]) -> LayerWeight:
    """The weights in a blob of packed ones. QuantizationError unless they were packed for such an operator."""
    value = blob.value
    if not isinstance(value, PackedLayer):
        raise QuantizationError(f'blob "{blob.name}" ({value!r}) holds no packed weights')
    if value.of != of:
        raise QuantizationError(f'blob "{blob.name}" holds {value!r}, which {op.type} cannot use')
    if value.per_block != per_block:
        kinds = {True: "parameters for each row or group", False: "one set of parameters"}
        raise QuantizationError(
            f'the packed weights "{blob.name}" have {kinds[value.per_block]}, but this operator asks for '
            f"{kinds[per_block]} (arguments quantize_channelwise, quantize_groupwise); both must agree"
        )
    for name, want in geometry.items():
        if value.geometry[name] != want:
            raise QuantizationError(
                f'the packed weights "{blob.name}" were packed with {name} {value.geometry[name]}, not {want}'
            )
    return value.weight
