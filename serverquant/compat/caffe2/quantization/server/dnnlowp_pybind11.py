"""Caffe2's extension for quantization parameters in blobs."""

from __future__ import annotations

from typing import Any

import numpy as np

from serverquant import proto, qparams, workspace
from serverquant._base.errors import DTypeError
from serverquant.blobs.store import blob_name
from serverquant.ops.dnnlowp.options import read_kind
from serverquant.proto.args import make_argument
from serverquant.proto.io import load
from serverquant.qparams.choose import DEFAULTS
from serverquant.qparams.histogram import Histogram
from serverquant.qparams.scheme import QuantScheme

# Input that holds an operator's output parameters, by type.
_PARAMS_INPUT = {"FC": 3, "Int8FC": 3, "Quantize": 1, "Int8Quantize": 1}


def CreateInt8QuantParamsBlob(quant_param_blob_name: Any, scale: float, zero_point: int) -> None:
    """Put parameters into a blob."""
    workspace.current().create(blob_name(quant_param_blob_name)).feed_object(
        qparams.QParams(float(np.float32(scale)), int(zero_point))
    )


def CreateInt8QuantSchemeBlob(quant_scheme_blob_name: Any, quantization_kind: str, preserve_sparsity: bool) -> None:
    """Put a way of choosing parameters into a blob."""
    scheme = QuantScheme(quantization_kind, bool(preserve_sparsity))
    workspace.current().create(blob_name(quant_scheme_blob_name)).feed_object(scheme)


def _held(name: Any, kind: type) -> Any:
    blob = workspace.current().get(blob_name(name))
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
        op.arg.append(make_argument("Y_scale", float(params.scale)))
        op.arg.append(make_argument("Y_zero_point", params.zero_point))
    return net.SerializeToString()


def ChooseStaticQuantizationParams(
    min: float,
    max: float,
    bins: Any,
    preserve_sparsity: bool = True,
    precision: int = 8,
    quant_scheme: str = "MIN_MAX_QUANTIZATION",
) -> qparams.QParams:
    """Parameters for values of which a histogram is known: numbers of values in bins of one width from min to max."""
    histogram = Histogram(np.asarray(bins, np.int64), np.float32(min), np.float32(max))
    kind = read_kind("quant_scheme", quant_scheme)
    defaults = DEFAULTS._replace(precision=int(precision), symmetric=bool(preserve_sparsity))
    return qparams.choose_from_histogram(histogram, kind, int(precision), bool(preserve_sparsity), defaults)


def ChooseQuantizationParams(blob: Any) -> tuple[float, int]:
    """(scale, zero point) of a float blob, as of a weight."""
    lo, hi = qparams.find_min_max(workspace.FetchBlob(blob))
    found = qparams.choose(lo, hi)
    return found.scale, found.zero_point
