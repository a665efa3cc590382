"""Caffe2's extension for quantization parameters."""

from __future__ import annotations

import numpy as np
import pytest

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
