"""An operator of your own that takes part when a net is quantized: its float form names its int8 form."""

import numpy as np

import serverquant
from serverquant import core
from serverquant.qparams import QParams, dequantize, quantize


@serverquant.register("Bump", int8="Int8Bump")
def bump(x):
    return np.exp(-np.square(x))


@serverquant.register("Int8Bump")
def int8_bump(x, Y_scale=1.0, Y_zero_point=0):
    """By a table of 256 bytes. Y_scale and Y_zero_point are what calibration has chosen for the output."""
    values = dequantize(np.arange(256, dtype=np.uint8), QParams(x.scale, x.zero_point))
    table = quantize(bump(values), QParams(Y_scale, Y_zero_point))
    return serverquant.Int8(table[x.data], Y_scale, Y_zero_point)


random = np.random.default_rng(1)
init, net = core.Net("init"), core.Net("net")
for name, shape in {"w1": (32, 16), "b1": (32,), "w2": (8, 32), "b2": (8,)}.items():
    init.GivenTensorFill([], name, shape=shape, values=random.normal(size=shape).astype(np.float32).ravel())
net.AddExternalInput("x")
h = net.Bump(net.FC(["x", "w1", "b1"], "h"), "bump")
net.AddExternalOutput(net.FC([h, "w2", "b2"], "y"))

made = serverquant.quantize(init, net, random.normal(size=(200, 16)).astype(np.float32))
print([op.type for op in made.predict.op])
x = random.normal(size=(50, 16)).astype(np.float32)
want, got = serverquant.load(init, net)(x=x)["y"], serverquant.load(made.init, made.predict)(x=x)["y"]
print(f"{20 * np.log10(np.linalg.norm(want) / np.linalg.norm(want - got)):.0f} dB")
