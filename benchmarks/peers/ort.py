"""ONNX Runtime on its CPU provider, at its best: full graph optimization and the threads it is given.

Needs the extra `bench` (onnxruntime, onnx). It is a peer to measure against; serverquant never uses it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def available() -> bool:
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))


def versions() -> list[str]:
    """The version as a text, in a list that is empty where it is not installed."""
    return [f"ONNX Runtime {importlib.metadata.version('onnxruntime')}"] if available() else []


class OnnxRuntime:
    """A session of one model on fixed inputs.

    model: serialized ModelProto. inputs: blob -> float32 array.
    """

    def __init__(self, model: bytes, inputs: dict[str, np.ndarray], threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = inputs
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, times: int) -> list[int]:
        """Nanoseconds of each run."""
        taken = []
        for _ in range(times):
            start = time.perf_counter_ns()
            self.session.run(None, self.inputs)
            taken.append(time.perf_counter_ns() - start)
        return taken

    def outputs(self) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.session.run(None, self.inputs), strict=True))


def first_outputs(model: bytes, samples: list[dict[str, np.ndarray]], exact: bool = True) -> np.ndarray:
    """The first output of a model for each of these inputs, joined. exact: as the model says, operator by operator,
    since int8 kernels may saturate on CPUs without VNNI."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if exact:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, sample)[0] for sample in samples])


def quantized(
    model: Any, samples: list[dict[str, np.ndarray]], per_channel: bool = True, method: str = "MinMax"
) -> bytes:
    """The int8 model of ONNX Runtime's own quantizer: static, calibrated on these inputs.

    per_channel: weights have one scale a channel. method: of its CalibrationMethod.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = list(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        given, ready, made = (str(Path(folder, name)) for name in ("given.onnx", "ready.onnx", "made.onnx"))
        Path(given).write_bytes(model.SerializeToString())
        quant_pre_process(given, ready, skip_symbolic_shape=True)
        quantization.quantize_static(ready, made, Reader(), per_channel=per_channel,
                                     calibrate_method=getattr(quantization.CalibrationMethod, method),
                                     activation_type=quantization.QuantType.QUInt8,
                                     weight_type=quantization.QuantType.QInt8)
        return Path(made).read_bytes()
