"""Caffe2's extension for quantization parameters."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from serverquant import workspace
from serverquant.compat.caffe2.quantization.server import dnnlowp_pybind11
from serverquant.qparams import choose, choose_from_histogram
from serverquant.qparams.histogram import Histogram


@pytest.mark.parametrize("kind", ["P99_QUANTIZATION", "L2_MIN_QUANTIZATION", "L2_MIN_QUANTIZATION_APPROX"])
def test_parameters_from_a_histogram(kind):
    """The counts are taken as they are, whatever values they came from."""
    values = np.random.default_rng(1).normal(size=5000)
    counts, edges = np.histogram(values, bins=256)
    found = dnnlowp_pybind11.ChooseStaticQuantizationParams(edges[0], edges[-1], counts, False, 8, kind)
    name = {"P99_QUANTIZATION": "p99", "L2_MIN_QUANTIZATION": "l2", "L2_MIN_QUANTIZATION_APPROX": "l2_approx"}[kind]
    assert found == choose_from_histogram(Histogram(counts, np.float32(edges[0]), np.float32(edges[-1])), name)
    whole = dnnlowp_pybind11.ChooseStaticQuantizationParams(edges[0], edges[-1], counts, False)
    assert whole == choose(edges[0], edges[-1])
    assert found.scale < whole.scale


# By Caffe2, of 64 bins between -1.5 and 2.5, with 4 bits: scheme, preserve_sparsity, scale, zero point, precision.
CHOSEN = [
    ("min_max", False, 0.2666666805744171, 6, 4),
    ("min_max", True, 0.3571428656578064, 8, 4),
    ("l2", False, 0.2666666805744171, 6, 4),  # no name that Caffe2 knows here
    ("L2_MIN_QUANTIZATION", False, 0.25, 5, 4),
    ("L2_MIN_QUANTIZATION", True, 0.2857142984867096, 8, 4),
    ("L2_MIN_QUANTIZATION_APPROX", False, 0.25833332538604736, 6, 4),
    ("L2_MIN_QUANTIZATION_APPROX", True, 0.2857142984867096, 8, 4),
    ("KL_MIN_QUANTIZATION", False, 0.015441176481544971, 91, 8),
    ("KL_MIN_QUANTIZATION", True, 0.015441176481544971, 123, 8),
    ("P99_QUANTIZATION", False, 0.2541666626930237, 5, 4),
    ("P99_QUANTIZATION", True, 0.3482142984867096, 8, 4),
    ("L1_MIN_QUANTIZATION", False, 0.22083333134651184, 5, 4),
    ("L1_MIN_QUANTIZATION", True, 0.2678571343421936, 8, 4),
]


@pytest.mark.parametrize(("scheme", "symmetric", "scale", "zero_point", "precision"), CHOSEN)
def test_schemes(scheme, symmetric, scale, zero_point, precision):
    counts = [max(0, 40 - abs(i - 20) * 3) + (i * i * 7) % 5 for i in range(64)]
    found = dnnlowp_pybind11.ChooseStaticQuantizationParams(-1.5, 2.5, counts, symmetric, 4, scheme)
    assert (found.scale, found.zero_point, found.precision) == (scale, zero_point, precision)


def test_share_that_p99_keeps():
    def scale(*threshold):
        counts = [1, *[10] * 98, 1]
        given = (0, 1, counts, False, 8, "P99_QUANTIZATION", *threshold)
        return dnnlowp_pybind11.ChooseStaticQuantizationParams(*given).scale

    assert scale(0.5) < scale(0.99) == scale() < scale(1.0)


def test_parameters_of_a_blob():
    workspace.FeedBlob("w", np.float32([[-1, 2]]))
    assert dnnlowp_pybind11.ChooseQuantizationParams("w") == (np.float32(3 / 255), 85)
    for name, value in (("i", np.arange(3)), ("nothing", None)):
        if value is not None:
            workspace.FeedBlob(name, value)
        with pytest.warns(UserWarning, match=f'"{name}", which is no float tensor'):
            assert dnnlowp_pybind11.ChooseQuantizationParams(name) == (1.0, 0)


def test_parameters_as_an_object():
    found = dnnlowp_pybind11.QueryTensorQparam(0.5, 3, 8)
    assert (found.scale, found.zero_point, found.precision, found.min, found.max) == (0.5, 3, 8, -1.5, 126.0)
    with pytest.raises(AttributeError):
        found.scale = 1.0


def test_every_function_takes_caffe2s_names():
    """Those of the extension, but for the mapping of an accelerator's operators."""
    observed = "dump_freq=-1 mul_nets=False"
    chosen = 'is_weight=False qparams_output_file_name=""'
    names = {
        "AddHistogramObserver": f'net_name out_file_name {observed} delimiter=" "',
        "AddOutputColumnMaxHistogramObserver": "net_name out_file_name observe_column_max_for_blobs dump_freq=-1 "
        'bin_nums=16 mul_nets=False delimiter=" "',
        "AddRegisterQuantizationParamsWithHistogramObserver": f"net_name histogram_file_name {chosen}",
        "AddScaleZeroOffsetArgumentsWithHistogram": "net_def histogram_file_name",
        "ChooseQuantizationParams": "blob_name",
        "ChooseStaticQuantizationParams": "min max bins preserve_sparsity=True precision=8 "
        'quant_scheme="min_max" p99_threshold=0.99 is_weight=False',
        "ClearNetObservers": "",
        "CreateInt8QuantParamsBlob": "quant_param_blob_name scale zero_point",
        "CreateInt8QuantSchemeBlob": "quant_scheme_blob_name quantization_kind preserve_sparsity",
        "DumpHistogramFile": "ob",
        "DumpOutputColumnMaxHistogramFile": "ob",
        "ObserveFp16FCPackedWeights": "blob_name weights_out_file",
        "ObserveHistogramOfOutput": f'out_file_name {observed} op_filter="" delimiter=" "',
        "ObserveInt8FCPackedWeights": "blob_name weights_out_file",
        "ObserveInt8QuantParamsBlob": "quant_params_blob_name",
        "ObserveInt8QuantSchemeBlob": "quant_scheme_blob_name",
        "ObserveMinMaxOfOutput": 'min_max_file_name dump_freq=-1 delimiter=" "',
        "RegisterQuantizationParams": f"min_max_file_name {chosen}",
        "RegisterQuantizationParamsWithHistogram": f"histogram_file_name {chosen}",
        "freeze_quantization_params": "net_def",
    }
    for name, want in names.items():
        parameters = inspect.signature(getattr(dnnlowp_pybind11, name)).parameters.values()
        found = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
        assert " ".join(found) == want.replace('"', "'"), name
