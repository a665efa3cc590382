"""Small float nets for the tests of quantization."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import serverquant
from serverquant import core, proto
from serverquant.quantization.net import operator

NETS = Path(__file__).resolve().parents[2] / "nets"
f32 = np.float32


def nets_of(ops, inputs=("x",), outputs=("y",), **weights):
    """(init, predict) of operators and weights."""
    init, predict = proto.NetDef(name="init"), proto.NetDef(name="net")
    for name, value in weights.items():
        init.op.append(operator("GivenTensorFill", [], [name], shape=value.shape, values=f32(value).reshape(-1)))
    predict.op.extend(ops)
    predict.external_input.extend([*inputs, *weights])
    predict.external_output.extend(outputs)
    return init, predict


def outputs(init, predict, **feeds):
    with serverquant.load(init, predict) as run:
        return run(feeds)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(f32)


def conv(x, y, *weights, **args):
    return core.CreateOperator("Conv", [x, *weights], [y], kernel=3, **args)


def three_layers(**weights):
    """FC, Relu, FC, Relu, FC from x to y, with weights w1, w2, w3 and biases b1, b2, b3."""
    ops = [
        core.CreateOperator("FC", ["x", "w1", "b1"], ["f1"]),
        core.CreateOperator("Relu", ["f1"], ["r1"]),
        core.CreateOperator("FC", ["r1", "w2", "b2"], ["f2"]),
        core.CreateOperator("Relu", ["f2"], ["r2"]),
        core.CreateOperator("FC", ["r2", "w3", "b3"], ["y"]),
    ]
    return nets_of(ops, **weights)
