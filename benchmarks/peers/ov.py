"""OpenVINO on its CPU plugin, at its best: the latency hint and the threads it is given.

Needs openvino and nncf, its quantizer (the extra `openvino`), beside those of `ort.py`. It is a peer to measure
against; serverquant never uses it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import logging
import time
from typing import Any

import numpy as np
from peers import ort


def available() -> bool:
    return ort.available() and all(importlib.util.find_spec(name) for name in ("openvino", "nncf"))


def versions() -> list[str]:
    """The versions as a text, in a list that is empty where it is not installed."""
    if not available():
        return []
    return [f"OpenVINO {importlib.metadata.version('openvino')} with NNCF {importlib.metadata.version('nncf')}"]


class OpenVino:
    """A compiled model on fixed inputs.

    model: one of OpenVINO's. inputs: blob -> float32 array.
    """

    def __init__(self, model: Any, inputs: dict[str, np.ndarray], threads: int):
        import openvino

        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                    "INFERENCE_PRECISION_HINT": "f32"}  # some CPUs would take bfloat16
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.names = [output.any_name for output in compiled.outputs]
        self.request = compiled.create_infer_request()
        for name, array in inputs.items():
            self.request.set_tensor(name, openvino.Tensor(array))

    def run(self, times: int) -> list[int]:
        """Nanoseconds of each run."""
        taken = []
        for _ in range(times):
            start = time.perf_counter_ns()
            self.request.infer()
            taken.append(time.perf_counter_ns() - start)
        return taken

    def outputs(self) -> dict[str, np.ndarray]:
        self.request.infer()
        return {name: self.request.get_tensor(name).data.copy() for name in self.names}


def converted(model: Any) -> Any:
    """OpenVINO's form of an ONNX model."""
    import openvino

    return openvino.convert_model(io.BytesIO(model.SerializeToString()))


def quantized(model: Any, inputs: dict[str, np.ndarray]) -> Any:
    """The int8 model of OpenVINO's own quantizer (NNCF, after training), calibrated on these inputs."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(converted(model), nncf.Dataset([inputs]), subset_size=1, preset=nncf.QuantizationPreset.MIXED)
