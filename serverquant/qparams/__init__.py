"""Quantization parameters: from data to (scale, zero point), and from floats to integers.

::

    choose      range -> QParams                       choose, relu_params, find_min_max
    quantize    floats -> integers and back            quantize, quantize_bias, dequantize
    methods/    weights -> QParams, by kind            choose_weight, choose_from_histogram, KINDS
    histogram   values -> bins, for the methods
"""

from __future__ import annotations

from serverquant.qparams.choose import DEFAULTS, Defaults, QParams, choose, find_min_max, relu_params
from serverquant.qparams.methods import KINDS, choose_from_histogram, choose_weight
from serverquant.qparams.quantize import dequantize, quantize, quantize_bias

__all__ = [
    "DEFAULTS",
    "KINDS",
    "Defaults",
    "QParams",
    "choose",
    "choose_from_histogram",
    "choose_weight",
    "dequantize",
    "find_min_max",
    "quantize",
    "quantize_bias",
    "relu_params",
]
