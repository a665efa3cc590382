"""serverquant: run and quantize Caffe2 nets on CPU servers, with exact int8 operators.

    load(init_net, predict_net)    a Predictor: call it with arrays
    workspace, core                Caffe2's Python API
    quantize, calibrate, compare   from a float net to an int8 one, and what it costs
    images                         a folder of images as data for these
    register                       decorator: an operator of one's own
    register_native, get_include   operators in C or Cython of an outside package
    Int8                           value of a quantized tensor: data, scale, zero_point
    options                        process-wide settings
    observe, Profile               watch nets run: times, traces, memory
    set_num_threads                how many threads the kernels use

Submodules load on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "load": "predictor",
    "Predictor": "predictor",
    "register": "runtime.registry",
    "register_native": "runtime._native",
    "Operator": "runtime.operator",
    "PythonOperator": "runtime.operator",
    "options": "runtime.options",
    "quantize": "quantization.ptq",
    "calibrate": "quantization.calibrate",
    "compare": "quantization.compare",
    "images": "quantization.images",
    "CalibrationWarning": "quantization.calibrate",
    "GainWarning": "quantization.estimate",
    "observe": "runtime.observe",
    "Profile": "runtime.observe",
    "Int8": "blobs.store",
    "ServerquantError": "_base.errors",
    "set_num_threads": "_base._threads",
    "get_num_threads": "_base._threads",
}
_MODULES = ("core", "workspace", "proto")
__all__ = ["__version__", "get_include", *_MODULES, *_PLACES]


def get_include() -> str:
    """The folder of serverquant's C headers, for compiling native operators."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"serverquant.{_PLACES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"serverquant.{name}")
    raise AttributeError(f"module 'serverquant' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
