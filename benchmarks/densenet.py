"""DenseNet-121, fp32, batch 1, as exporters write it (SpatialBN and Relu before every convolution): a case for nets.py
that no stored answers belong to. Weights are seeded; the answer comes from numpy in double precision, which takes some
seconds once and is kept in build/nets."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import timing

sys.path.insert(0, str(timing.ROOT / "nets"))
import cases
from make_weights import CACHE, field, fill, operator

NAME = "densenet121"
GROWTH, FIRST, BLOCKS, CLASSES = 32, 64, (6, 12, 24, 16), 1000


class Builder:
    """Operators of the net in order, as (type, inputs, output, arguments), and its weights."""

    def __init__(self) -> None:
        self.random = np.random.RandomState(121)
        self.ops: list[tuple[str, list[str], str, dict[str, Any]]] = []
        self.weights: dict[str, np.ndarray] = {}

    def weight(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = values.astype(np.float32)
        return name

    def add(self, op_type: str, inputs: list[str], **args: Any) -> str:
        output = str(len(self.ops))
        self.ops.append((op_type, inputs, output, args))
        return output

    def conv(self, x: str, channels: int, outputs: int, kernel: int, stride: int = 1) -> str:
        spread = (2 / (channels * kernel * kernel)) ** 0.5
        w = self.weight(self.random.standard_normal((outputs, channels, kernel, kernel)) * spread)
        args = {"kernels": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4, "dilations": [1, 1]}
        return self.add("Conv", [x, w], group=1, **args)

    def norm(self, x: str, channels: int) -> str:
        """SpatialBN and Relu."""
        draw = self.random.random_sample
        scale, bias = 0.5 + draw(channels), draw(channels) - 0.5
        mean, var = 0.2 * (draw(channels) - 0.5), 0.5 + draw(channels)
        named = [self.weight(values) for values in (scale, bias, mean, var)]
        return self.add("Relu", [self.add("SpatialBN", [x, *named], is_test=1, epsilon=1e-5)])

    def dense_block(self, x: str, channels: int, layers: int) -> tuple[str, int]:
        for _ in range(layers):
            inner = self.conv(self.norm(x, channels), channels, 4 * GROWTH, 1)
            made = self.conv(self.norm(inner, 4 * GROWTH), 4 * GROWTH, GROWTH, 3)
            x, channels = self.add("Concat", [x, made], axis=1), channels + GROWTH
        return x, channels

    def net(self) -> Builder:
        x, channels = self.norm(self.conv("data", 3, FIRST, 7, 2), FIRST), FIRST
        x = self.add("MaxPool", [x], kernels=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        for number, layers in enumerate(BLOCKS):
            x, channels = self.dense_block(x, channels, layers)
            if number + 1 < len(BLOCKS):
                x, channels = self.conv(self.norm(x, channels), channels, channels // 2, 1), channels // 2
                x = self.add("AveragePool", [x], kernels=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
        x = self.add("AveragePool", [self.norm(x, channels)], global_pooling=1)
        w = self.weight(self.random.standard_normal((CLASSES, channels)) * channels**-0.5)
        self.add("FC", [x, w, self.weight(np.zeros(CLASSES))])
        return self

    def init_bytes(self) -> bytes:
        return field(1, f"{NAME}_init") + b"".join(fill("GivenTensorFill", n, a) for n, a in self.weights.items())

    def predict_bytes(self) -> bytes:
        parts = [field(1, NAME)]
        for op_type, inputs, output, args in self.ops:
            parts.append(operator(op_type, inputs, output, args))
            if op_type == "Concat":  # its second output
                parts[-1] = _with_output(op_type, inputs, [output, f"{output}_sizes"], args)
        parts += [field(7, name) for name in ("data", *self.weights)] + [field(8, self.ops[-1][2])]
        return b"".join(parts)

    def run_double(self, data: np.ndarray) -> np.ndarray:
        """The net's output by numpy, in double precision."""
        blobs = {"data": data.astype(np.float64), **{n: a.astype(np.float64) for n, a in self.weights.items()}}
        for op_type, inputs, output, args in self.ops:
            blobs[output] = DOUBLES[op_type](args, *(blobs[name] for name in inputs))
        return blobs[self.ops[-1][2]]


def _with_output(op_type: str, inputs: list[str], outputs: list[str], args: dict[str, Any]) -> bytes:
    """NetDef.op with several outputs."""
    marker = "\0output\0"
    whole = operator(op_type, inputs, marker, args)[1:]
    body = whole[_varint_bytes(whole) :]
    return field(2, body.replace(field(2, marker), b"".join(field(2, name) for name in outputs)))


def _varint_bytes(data: bytes) -> int:
    return next(i for i, byte in enumerate(data) if byte < 128) + 1


def _windows(x: np.ndarray, args: dict[str, Any], fill_value: float) -> np.ndarray:
    top, left, bottom, right = args["pads"]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill_value)
    seen = np.lib.stride_tricks.sliding_window_view(x, args["kernels"], axis=(2, 3))
    return seen[:, :, :: args["strides"][0], :: args["strides"][1]]


def _conv(args: dict[str, Any], x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.tensordot(_windows(x, args, 0.0), w, ((1, 4, 5), (1, 2, 3))), -1, 1)


def _norm(args: dict[str, Any], x: np.ndarray, *values: np.ndarray) -> np.ndarray:
    scale, bias, mean, var = (v[:, None, None] for v in values)
    return (x - mean) / np.sqrt(var + args["epsilon"]) * scale + bias


def _average(args: dict[str, Any], x: np.ndarray) -> np.ndarray:
    if args.get("global_pooling"):
        return np.asarray(x.mean((2, 3), keepdims=True))
    return np.asarray(_windows(x, args, 0.0).mean((4, 5)))


DOUBLES: dict[str, Any] = {
    "Conv": _conv,
    "SpatialBN": _norm,
    "Relu": lambda args, x: np.maximum(x, 0),
    "Concat": lambda args, *parts: np.concatenate(parts, axis=1),
    "MaxPool": lambda args, x: _windows(x, args, -np.inf).max((4, 5)),
    "AveragePool": _average,
    "FC": lambda args, x, w, b: x.reshape(len(x), -1) @ w.T + b,
}


@dataclasses.dataclass(frozen=True)
class DenseNet(cases.NetCase):
    """The case; its files are in build/nets."""

    @property
    def folder(self) -> Path:
        return CACHE / NAME

    def init_path(self) -> Path:
        return self.folder / "init_net.pb"

    def inputs(self) -> dict[str, np.ndarray]:
        return {"data": np.random.RandomState(7).standard_normal((1, 3, 224, 224)).astype(np.float32)}


def case() -> DenseNet:
    """The case, written first if it is not there yet or comes from another version of this file."""
    found = DenseNet(NAME, {})
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    kept = found.folder / "version"
    if not kept.exists() or kept.read_text() != version:
        _write(found)
        kept.write_text(version)
    with np.load(found.folder / "outputs.npz") as outputs:
        blobs = {name: {"shape": outputs[name].shape, "sha256": ""} for name in outputs.files}
    return dataclasses.replace(found, info={"blobs": blobs, "moved_by_1e-6": {}})


def _write(found: DenseNet) -> None:
    net = Builder().net()
    found.folder.mkdir(parents=True, exist_ok=True)
    found.init_path().write_bytes(net.init_bytes())
    found.predict_path.write_bytes(net.predict_bytes())
    answer = net.run_double(found.inputs()["data"]).astype(np.float32)
    np.savez(found.folder / "outputs.npz", **{net.ops[-1][2]: answer})
