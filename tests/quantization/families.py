"""Small float nets, one for each operator that has an int8 form: what they become, and how near that is.

tests/quantization runs them here, tests/oracle in the real Caffe2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from small_nets import conv, nets_of, random

from serverquant import core

f32 = np.float32


class Case(NamedTuple):
    """nets: (init, predict). wants: int8 types that must be there. least: dB of the output y."""

    nets: tuple[Any, Any]
    feeds: dict[str, np.ndarray]
    wants: set[str]
    least: float = 30.0


X, ROWS = random(4, 3, 8, 8), random(9, 6, seed=10)
W, V = random(8, 3, 3, 3, seed=1) / 5, random(8, 8, 1, 1, seed=2) / 3
ROW_W, ROW_B = random(12, 6, seed=11) / 2, random(12, seed=12) / 4
LAYER = conv("x", "h", "w")
LAST = core.CreateOperator("Conv", ["i", "v"], ["y"], kernel=1)
PADDED = core.CreateOperator("Conv", ["i", "v"], ["y"], kernel=1, pad=1)  # no shift folds into it
NORM = {name: random(8, seed=i) for i, name in enumerate("sbm", 3)} | {"q": np.abs(random(8, seed=6)) + f32(0.1)}


def op(type, inputs, outputs, **args):
    return core.CreateOperator(type, inputs.split(), outputs.split(), **args)


def image(*ops, wants, least=30.0, x=X, last=LAST, **weights):
    """Conv from x to h, the ops from h to i, Conv from i to y."""
    return Case(nets_of([LAYER, *ops, last], w=W, v=V, **weights), {"x": x}, set(wants.split()), least)


def rows(*ops, wants, least=30.0, feeds=None, inputs=(), **weights):
    """FC from x (9 x 6) to h (9 x 12), the ops from h to i, FC from i to y."""
    fc = op("FC", "x rw rb", "h")
    last = op("FC", "i lw lb", "y")
    feeds = {"x": ROWS, **(feeds or {})}
    k = weights.pop("columns", 12)
    made = {"rw": ROW_W, "rb": ROW_B, "lw": random(5, k, seed=13) / 3, "lb": random(5, seed=14), **weights}
    return Case(nets_of([fc, *ops, last], inputs=tuple(feeds), **made), feeds, set(wants.split()), least)


def spatial(ndim: int, order: str, pool: str = "", **args):
    """Two convolutions and a maximum in other than two dimensions; between them a pool of all."""
    size, kernel = {3: ((2, 4, 9), (3,)), 5: ((2, 4, 5, 6, 7), (3, 3, 3))}[ndim]
    w = random(6, 4, *kernel, seed=1) / 5
    x, v = random(*size), random(5, 6, *(1 for _ in kernel), seed=2)
    if order == "NHWC":
        x, w, v = (np.moveaxis(a, 1, -1) for a in (x, w, v))
    ops = [
        core.CreateOperator("Conv", ["x", "w", "c"], ["h"], kernels=list(kernel), order=order, **args),
        core.CreateOperator("Relu", ["h"], ["i"]),
        core.CreateOperator("Conv", ["p" if pool else "i", "v"], ["y"], kernels=[1] * len(kernel), order=order),
    ]
    wants = {"Int8ConvRelu", "Int8Conv"}
    if pool:
        ops.insert(2, core.CreateOperator(pool, ["i"], ["p"], global_pooling=1, order=order))
        wants.add(f"Int8{pool}")
    return Case(nets_of(ops, w=w, v=v, c=random(6, seed=3)), {"x": x}, wants)


def cell(**args):
    """One step of an LSTM between two layers."""
    ops = [
        op("FC", "x rw rb", "g2"),
        op("ExpandDims", "g2", "g", dims=[0]),
        op("LSTMUnit", "h0 c0 g lengths time", "h c", **args),
        op("FC", "h lw lb", "y", axis=2),
    ]
    weights = {"rw": ROW_W, "rb": ROW_B, "lw": random(5, 3, seed=13), "lb": random(5, seed=14)}
    feeds = {
        "x": ROWS,
        "h0": np.tanh(random(1, 9, 3, seed=15)),
        "c0": random(1, 9, 3, seed=16),
        "lengths": np.arange(9, dtype=np.int32),
        "time": np.full(1, 3, np.int32),
    }
    return Case(nets_of(ops, inputs=tuple(feeds), **weights), feeds, {"Int8LSTMUnit", "Int8Reshape"}, 25.0)


def attention():
    """Q K^T V of three layers of one input, heads apart."""
    ops = [op("FC", f"x w{n} b", n, axis=2) for n in "qkv"]
    ops += [
        core.CreateOperator("Reshape", [n], [f"{n}4", f"{n}_old"], shape=[0, -1, 2, 3]) for n in "qkv"
    ]
    ops += [op("Transpose", f"{n}4", f"{n}t", axes=[0, 2, 1, 3]) for n in "qkv"]
    ops += [
        op("BatchMatMul", "qt kt", "scores", trans_b=1),
        op("BatchMatMul", "scores vt", "y4"),
        op("Transpose", "y4", "y5", axes=[0, 2, 1, 3]),
        core.CreateOperator("Reshape", ["y5"], ["y6", "y_old"], shape=[0, -1, 6]),
        op("FC", "y6 wo b", "y", axis=2),
    ]
    weights = {f"w{n}": random(6, 6, seed=i) / 2 for i, n in enumerate("qkvo")}
    feeds = {"x": random(2, 5, 6, seed=9)}
    return Case(
        nets_of(ops, b=np.zeros(6), **weights), feeds, {"Int8BatchMatMul", "Int8Transpose", "Int8Reshape"}, 22.0
    )


CASES = {
    "relu": image(op("Relu", "h", "j"), op("Sum", "h j", "i"), wants="Int8Relu Int8Sum"),
    "leaky_relu": image(op("LeakyRelu", "h", "i", alpha=0.2), wants="Int8LeakyRelu"),
    "clip": image(op("Clip", "h", "i", min=-0.3, max=0.4), wants="Int8Concat"),
    "sigmoid": image(op("Sigmoid", "h", "i"), wants="Int8Sigmoid"),
    "swish": image(op("Sigmoid", "h", "j"), op("Mul", "h j", "i"), wants="Int8Sigmoid Int8Mul"),
    "swish_in_one": image(op("Swish", "h", "i"), wants="Int8Sigmoid Int8Mul"),
    "tanh": image(op("Tanh", "h", "i"), wants="Int8Tanh", least=25),
    "tanh_again": image(op("Tanh", "h", "j"), op("Mul", "h j", "i"), wants="Int8Tanh Int8Concat Int8Mul", least=25),
    "spatial_bn": image(
        op("Relu", "h", "j"), op("SpatialBN", "j s b m q", "i", is_test=1), wants="Int8SpatialBN", last=PADDED, **NORM
    ),
    "spatial_bn_relu": image(
        op("MaxPool", "h", "j", kernel=1),
        op("SpatialBN", "j s b m q", "k", is_test=1),
        op("Relu", "k", "i"),
        wants="Int8SpatialBNRelu",
        **NORM,
    ),
    "affine_channel": image(
        op("Relu", "h", "j"), op("AffineChannel", "j s b", "i"), wants="Int8SpatialBN",
        last=PADDED, s=NORM["s"], b=NORM["b"]
    ),
    "scale": image(
        op("Relu", "h", "j"),
        op("Mul", "j s", "k", broadcast=1, axis=1),
        op("Add", "k b", "i", broadcast=1, axis=1),
        wants="Int8SpatialBN",
        last=PADDED,
        s=NORM["s"],
        b=NORM["b"],
    ),
    "group_norm": image(op("GroupNorm", "h s b", "i", group=2), wants="Int8GroupNorm", s=NORM["s"], b=NORM["b"]),
    "max_pool": image(op("MaxPool", "h", "i", kernel=2, stride=2), wants="Int8MaxPool"),
    "average_pool": image(op("AveragePool", "h", "i", kernel=2, stride=2), wants="Int8AveragePool"),
    "average_pool_relu": image(
        op("AveragePool", "h", "j", kernel=2, stride=2), op("Relu", "j", "i"), wants="Int8AveragePool"
    ),
    "channel_shuffle": image(op("ChannelShuffle", "h", "i", group=4, order="NCHW"), wants="Int8ChannelShuffle"),
    "channel_shuffle_of_exporters": image(
        op("Reshape", "h", "j j_old", shape=[-1, 2, 4, 6, 6]),
        op("Transpose", "j", "k", axes=[0, 2, 1, 3, 4]),
        op("Reshape", "k", "i i_old", shape=[-1, 8, 6, 6]),
        wants="Int8ChannelShuffle",
    ),
    "resize_nearest": image(
        op("ResizeNearest", "h", "i", width_scale=2.0, height_scale=1.5), wants="Int8ResizeNearest"
    ),
    "split": image(
        op("Split", "h", "j k", axis=1, split=[3, 5]), op("Concat", "k j", "i i_sizes", axis=1), wants="Int8Slice"
    ),
    "slice": image(
        op("Slice", "h", "j", starts=[0, 2, 0, 0], ends=[-1, 6, -1, -1]),
        op("Concat", "j j", "i i_sizes", axis=1),
        wants="Int8Slice Int8Concat",
    ),
    "slice_rows_of_pixels": image(op("Slice", "h", "i", starts=[0, 0, 1, 0], ends=[-1, -1, -2, -1]), wants="Int8Slice"),
    "concat_relu": image(
        conv("x", "g", "w2"),
        op("Concat", "h g", "j j_sizes", axis=1),
        op("Relu", "j", "k"),
        op("Slice", "k", "i", starts=[0, 4, 0, 0], ends=[-1, 12, -1, -1]),
        wants="Int8ConvRelu Int8Concat",
        w2=random(8, 3, 3, 3, seed=7),
    ),
    "conv_transpose": image(
        op("ConvTranspose", "h t tb", "j", kernel=3, stride=2, pad=1, adj=1), op("Relu", "j", "i"),
        wants="Int8ConvTranspose", t=random(8, 8, 3, 3, seed=40) / 4, tb=random(8, seed=41),
    ),
    "flatten_of_pixels": Case(
        nets_of([LAYER, op("AveragePool", "h", "i", global_pooling=1), op("Flatten", "i", "y")], w=W),
        {"x": X},
        {"Int8AveragePool", "Int8Flatten"},
    ),
    "convolution_1d": spatial(3, "NCHW"),
    "convolution_1d_nhwc": spatial(3, "NHWC", pads=[1, 1]),
    "convolution_3d": spatial(5, "NCHW", pads=[1] * 6),
    "convolution_3d_nhwc": spatial(5, "NHWC", strides=[2, 2, 2]),
    "average_of_volumes": spatial(5, "NCHW", "AveragePool"),
    "maximum_of_volumes": spatial(5, "NHWC", "MaxPool"),
    "mul_rows": rows(op("Tanh", "h", "j"), op("Mul", "j h", "i"), wants="Int8Mul Int8Tanh", least=25),
    "elementwise_linear": rows(
        op("Relu", "h", "j"), op("ElementwiseLinear", "j a s", "i"), wants="Int8ElementwiseLinear",
        a=random(12, seed=20), s=random(12, seed=21),
    ),
    "scaled_columns": rows(
        op("Relu", "h", "j"), op("Mul", "j a", "k"), op("Add", "k s", "l"), op("Relu", "l", "i"),
        wants="Int8ElementwiseLinear",
        a=random(12, seed=20), s=random(12, seed=21),
    ),
    "gather": rows(
        op("Gather", "h which", "i"), wants="Int8Gather", feeds={"which": np.int64([3, 0, 8, 3])}
    ),
    "split_columns": rows(
        op("Split", "h", "j k", axis=1), op("Sum", "j k", "i"), wants="Int8Slice Int8Sum", columns=6
    ),
    "reshape_and_back": rows(
        op("Reshape", "h", "j j_old", shape=[0, 3, 4]),
        op("Transpose", "j", "k", axes=[0, 2, 1]),
        op("Reshape", "k", "i i_old", shape=[-1, 12]),
        wants="Int8Reshape Int8Transpose",
    ),
    "fc_transposed": rows(
        op("FCTransposed", "h t tb", "i"), wants="Int8FC", t=random(12, 12, seed=22) / 3, tb=random(12)
    ),
    "mat_mul": rows(op("MatMul", "h t", "i", trans_b=1), wants="Int8FC", t=random(12, 12, seed=22) / 3),
    "lstm_unit": cell(forget_bias=0.5),
    "lstm_unit_drops": cell(drop_states=1),
    "attention": attention(),
}  # fmt: skip


def shuffle_net():
    """A small ShuffleNetV2: channels cut in two, depthwise layers, joined, shuffled in both ways to write it."""
    weights, ops = {}, []

    def layer(x, y, kernel, shape, relu=True, **args):
        n = len(ops)
        weights[f"w{n}"] = random(*shape, seed=n) / f32(np.sqrt(np.prod(shape[1:])))
        weights[f"b{n}"] = random(shape[0], seed=n)
        out = f"{y}_before" if relu else y
        ops.append(core.CreateOperator("Conv", [x, f"w{n}", f"b{n}"], [out], kernel=kernel, **args))
        if relu:
            ops.append(op("Relu", out, y))

    layer("x", "s0", 3, (16, 3, 3, 3), pad=1)
    for i in range(2):
        ops.append(op("Split", f"s{i}", f"l{i} r{i}", axis=1))
        layer(f"r{i}", f"a{i}", 1, (8, 8, 1, 1))
        layer(f"a{i}", f"d{i}", 3, (8, 1, 3, 3), relu=False, group=8, pad=1)
        layer(f"d{i}", f"e{i}", 1, (8, 8, 1, 1))
        ops.append(op("Concat", f"l{i} e{i}", f"c{i} c{i}_sizes", axis=1))
        if i == 0:
            ops.append(op("ChannelShuffle", "c0", "s1", group=2, order="NCHW"))
    ops += [
        op("Reshape", "c1", "t0 t0_old", shape=[-1, 2, 8, 8, 8]),
        op("Transpose", "t0", "t1", axes=[0, 2, 1, 3, 4]),
        op("Reshape", "t1", "t2 t2_old", shape=[-1, 16, 8, 8]),
        op("AveragePool", "t2", "p", global_pooling=1),
        op("FC", "p fw fb", "y"),
    ]
    return nets_of(ops, fw=random(5, 16), fb=random(5), **weights)
