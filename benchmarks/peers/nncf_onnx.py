"""NNCF's quantizer after training, on ONNX models: a peer in accuracy.

Needs the extra `bench` (nncf, onnx, onnxruntime); serverquant never uses it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import logging
from typing import Any

import numpy as np


def available() -> bool:
    return all(importlib.util.find_spec(name) for name in ("nncf", "onnx", "onnxruntime"))


def versions() -> list[str]:
    """The version as a text, in a list that is empty where it is not installed."""
    return [f"NNCF {importlib.metadata.version('nncf')}"] if available() else []


def quantized(
    model: Any, samples: list[dict[str, np.ndarray]], accurate: bool = False, min_max: bool = False
) -> bytes:
    """The int8 model, calibrated on all of these inputs; its weights have one scale a channel.

    accurate: biases are corrected by running the model layer by layer instead of in the fast way. min_max: activations
    keep their whole range, where the default takes the mean of the samples' ends.
    """
    import nncf
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    nncf.set_log_level(logging.ERROR)
    whole = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        overflow_fix=nncf.OverflowFix.DISABLE,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # progress bars
        made = nncf.quantize(model, nncf.Dataset(samples), subset_size=len(samples), fast_bias_correction=not accurate,
                             advanced_parameters=whole if min_max else None)
    data: bytes = made.SerializeToString()
    return data
