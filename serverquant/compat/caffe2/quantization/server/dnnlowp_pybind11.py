"""Caffe2's extension for quantization: parameters in blobs, and statistics of nets in files."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from serverquant import proto, qparams, workspace
from serverquant._base.errors import DTypeError
from serverquant.blobs.store import blob_name as as_text
from serverquant.compat.register_params import Statistics, add_arguments, register, set_params
from serverquant.ops.dnnlowp.options import read_kind
from serverquant.ops.dnnlowp.unpacking import signed_matrix
from serverquant.ops.dnnlowp.weights import PackedLayer
from serverquant.ops.fc.half import PackedHalf
from serverquant.proto.io import load
from serverquant.qparams import Defaults
from serverquant.qparams.histogram import Histogram
from serverquant.qparams.scheme import QuantScheme
from serverquant.quantization.caffe2_files import save
from serverquant.quantization.caffe2_observers import (
    ColumnMaxObserver,
    FileObserver,
    HistogramObserver,
    MinMaxObserver,
    check,
    watch,
)
from serverquant.runtime.observe import on_creation
from serverquant.runtime.options import options

# Input that holds an operator's output parameters, by type.
_PARAMS_INPUT = {"FC": 3, "Int8FC": 3, "Quantize": 1, "Int8Quantize": 1}


def CreateInt8QuantParamsBlob(quant_param_blob_name: Any, scale: float, zero_point: int) -> None:
    """Put parameters into a blob."""
    workspace.current().create(as_text(quant_param_blob_name)).feed_object(
        qparams.QParams(float(np.float32(scale)), int(zero_point))
    )


def CreateInt8QuantSchemeBlob(quant_scheme_blob_name: Any, quantization_kind: str, preserve_sparsity: bool) -> None:
    """Put a way of choosing parameters into a blob."""
    scheme = QuantScheme(quantization_kind, bool(preserve_sparsity))
    workspace.current().create(as_text(quant_scheme_blob_name)).feed_object(scheme)


def _held(name: Any, kind: type) -> Any:
    blob = workspace.current().get(as_text(name))
    if not isinstance(blob.value, kind):
        raise DTypeError(f'blob "{blob.name}" holds {blob.spec()!r}, not {kind.__name__}')
    return blob.value


def ObserveInt8QuantParamsBlob(quant_params_blob_name: Any) -> tuple[float, int]:
    """(scale, zero_point) of a blob."""
    found = _held(quant_params_blob_name, qparams.QParams)
    return found.scale, found.zero_point


def ObserveInt8QuantSchemeBlob(quant_scheme_blob_name: Any) -> tuple[str, bool]:
    """(quantization kind, preserve_sparsity) of a blob."""
    return tuple(_held(quant_scheme_blob_name, QuantScheme))


def freeze_quantization_params(net_def: bytes) -> bytes:
    """The net with arguments Y_scale and Y_zero_point in the place of inputs that hold parameters."""
    net = load(net_def, proto.NetDef)
    for op in net.op:
        at = _PARAMS_INPUT.get(op.type)
        if at is None or len(op.input) <= at:
            continue
        params = _held(op.input[at], qparams.QParams)
        del op.input[at]
        set_params(op, 0, params)
    return net.SerializeToString()


QueryTensorQparam = qparams.QParams
_KINDS = {
    "L2_MIN_QUANTIZATION": "l2",
    "L2_MIN_QUANTIZATION_APPROX": "l2_approx",
    "L1_MIN_QUANTIZATION": "l1",
    "KL_MIN_QUANTIZATION": "kl",
    "P99_QUANTIZATION": "p99",
}


def ChooseStaticQuantizationParams(
    min: float,
    max: float,
    bins: Any,
    preserve_sparsity: bool = True,
    precision: int = 8,
    quant_scheme: str = "min_max",
    p99_threshold: float = 0.99,
    is_weight: bool = False,
) -> qparams.QParams:
    """Parameters for values of which a histogram is known: numbers of values in bins of one width from min to max.

    quant_scheme: one of the long names of l1, l2, l2_approx, kl and p99; as in Caffe2, any other text means min_max.
    """
    histogram = Histogram(np.asarray(bins, np.int64), np.float32(min), np.float32(max))
    defaults = Defaults(
        options.caffe2_dnnlowp_activation_quantization_precision,
        options.caffe2_dnnlowp_preserve_activation_sparsity,
        options.caffe2_dnnlowp_force_scale_power_of_two,
        float(p99_threshold),
    )
    kind = _KINDS.get(quant_scheme, "min_max")
    return qparams.choose_from_histogram(histogram, kind, int(precision), bool(preserve_sparsity), defaults)


def ChooseQuantizationParams(blob_name: Any) -> tuple[float, int]:
    """(scale, zero point) of a float blob, as of a weight; (1.0, 0) with a warning for anything else."""
    space, name = workspace.current(), as_text(blob_name)
    blob = space.get(name) if name in space else None
    if blob is None or not blob.spec().is_float:
        what = "there is no such blob" if blob is None else f"it holds {blob.spec()!r}"
        warnings.warn(f'no parameters can be chosen for "{name}", which is no float tensor: {what}', stacklevel=2)
        return 1.0, 0
    precision = options.caffe2_dnnlowp_weight_quantization_precision
    found = qparams.choose_weight(
        blob.view(),
        read_kind("option caffe2_dnnlowp_weight_quantization_kind", options.caffe2_dnnlowp_weight_quantization_kind),
        precision,
        options.caffe2_dnnlowp_preserve_weight_sparsity,
        options.caffe2_dnnlowp_force_scale_power_of_two,
    )
    return found.scale, found.zero_point + (1 << (precision - 1))


# ---- observers -----------------------------------------------------------------------------------------------------


def _net(name: Any) -> Any:
    return workspace.current().net(as_text(name))


def ObserveMinMaxOfOutput(min_max_file_name: Any, dump_freq: int = -1, delimiter: str = " ") -> None:
    """Observe the range of each output in every net that is created from now on."""
    check(min_max_file_name, dump_freq)

    def observe(net: Any) -> None:
        watch(net, MinMaxObserver(net, min_max_file_name, dump_freq, delimiter=delimiter))

    on_creation.append(observe)


def ObserveHistogramOfOutput(
    out_file_name: Any, dump_freq: int = -1, mul_nets: bool = False, op_filter: str = "", delimiter: str = " "
) -> None:
    """Observe histograms of each output in every net that is created from now on. op_filter: in those alone that have
    an operator of this type."""
    check(out_file_name, dump_freq)

    def observe(net: Any) -> None:
        if not op_filter or any(op.type == op_filter for op in net.proto.op):
            watch(net, HistogramObserver(net, out_file_name, dump_freq, mul_nets, delimiter))

    on_creation.append(observe)


def AddHistogramObserver(
    net_name: Any, out_file_name: Any, dump_freq: int = -1, mul_nets: bool = False, delimiter: str = " "
) -> FileObserver:
    """Observe histograms of each output in a net that was created."""
    net = _net(net_name)
    return watch(net, HistogramObserver(net, out_file_name, dump_freq, mul_nets, delimiter))


def AddOutputColumnMaxHistogramObserver(
    net_name: Any,
    out_file_name: Any,
    observe_column_max_for_blobs: Iterable[Any],
    dump_freq: int = -1,
    bin_nums: int = 16,
    mul_nets: bool = False,
    delimiter: str = " ",
) -> FileObserver:
    """Observe, in a net that was created, the largest magnitude of each column of the blobs, which are matrices."""
    net, blobs = _net(net_name), [as_text(blob) for blob in observe_column_max_for_blobs]
    return watch(net, ColumnMaxObserver(net, out_file_name, blobs, bin_nums, dump_freq, mul_nets, delimiter))


def ClearNetObservers() -> None:
    """Observe no net any more that is created from now on."""
    on_creation.clear()


def DumpHistogramFile(ob: HistogramObserver) -> None:
    """Write what the observer has counted since its last file, now."""
    _dump(ob, HistogramObserver)


def DumpOutputColumnMaxHistogramFile(ob: ColumnMaxObserver) -> None:
    """Write what the observer has counted since its last file, now."""
    _dump(ob, ColumnMaxObserver)


def _dump(observer: Any, kind: type[FileObserver]) -> None:
    if not isinstance(observer, kind):
        raise DTypeError(f"a {kind.__name__} is needed, not {type(observer).__name__}")
    observer.dump()


# ---- parameters from files -----------------------------------------------------------------------------------------


def RegisterQuantizationParams(
    min_max_file_name: Any, is_weight: bool = False, qparams_output_file_name: Any = ""
) -> None:
    """Give the DNNLOWP operators of every net that is created from now on parameters of their outputs, by ranges."""
    statistics = Statistics.read(min_max_file_name, histograms=False)
    on_creation.append(lambda net: register(net, statistics, is_weight, qparams_output_file_name))


def RegisterQuantizationParamsWithHistogram(
    histogram_file_name: Any, is_weight: bool = False, qparams_output_file_name: Any = ""
) -> None:
    """The same by histograms, in the way that argument or option activation_quantization_kind names."""
    statistics = Statistics.read(histogram_file_name, histograms=True)
    on_creation.append(lambda net: register(net, statistics, is_weight, qparams_output_file_name))


def AddRegisterQuantizationParamsWithHistogramObserver(
    net_name: Any, histogram_file_name: Any, is_weight: bool = False, qparams_output_file_name: Any = ""
) -> None:
    """The same for a net that was created."""
    net = _net(net_name)
    register(net, Statistics.read(histogram_file_name, histograms=True), bool(is_weight), qparams_output_file_name)


def AddScaleZeroOffsetArgumentsWithHistogram(net_def: bytes, histogram_file_name: Any) -> bytes:
    """The net with arguments Y_scale and Y_zero_point, chosen by histograms, in its DNNLOWP operators."""
    net = load(net_def, proto.NetDef)
    add_arguments(net, Statistics.read(histogram_file_name, histograms=True))
    return net.SerializeToString()


# ---- packed weights ------------------------------------------------------------------------------------------------


def ObserveInt8FCPackedWeights(blob_name: Any, weights_out_file: Any) -> None:
    """Write weights that Int8FCPackWeight packed: a line of scales and zero points, then a line for each output."""
    packed = _held(blob_name, PackedLayer)
    if packed.of != "Int8FC":
        raise DTypeError(f'blob "{as_text(blob_name)}" holds {packed!r}, not weights of a fully connected layer')
    weight = packed.weight
    each = len(weight.scales) // weight.blocks
    params = zip(weight.scales[::each], weight.packed.zero_points[::each])
    first = " ".join(f"{scale:f} {zero_point}" for scale, zero_point in params)
    save(weights_out_file, [first, *(" ".join(map(str, row)) for row in signed_matrix(weight).tolist())])


def ObserveFp16FCPackedWeights(blob_name: Any, weights_out_file: Any) -> None:
    """Write weights of half precision that FbGemmPack packed: a line for each input, with a number for each output."""
    matrix = _held(blob_name, PackedHalf).matrix
    save(weights_out_file, (" ".join(f"{value:g}" for value in row) for row in matrix.T.tolist()))
