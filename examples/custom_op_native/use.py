"""Registers the operator, runs it in nets of two types, and quantizes a net that has it."""

import leaky_sum
import numpy as np

import serverquant
from serverquant import core, workspace

serverquant.register_native(leaky_sum.op, int8="Int8LeakySum")
serverquant.register_native(leaky_sum.int8_op)

a, b, c = (np.full((2, 3), value, np.float32) for value in (1, 2, 4))
for name, value in (("a", a), ("b", b), ("c", c)):
    workspace.FeedBlob(name, value)
for kind in ("simple", "dag"):
    net = core.Net(f"leaky_{kind}")
    net.LeakySum(["a", "b", "c"], "y", alpha=0.25)
    net.Relu("y", "z")
    net.Proto().type = kind
    workspace.RunNetOnce(net)
    print(workspace.FetchBlob("z"))

random = np.random.default_rng(1)
init, net = core.Net("init"), core.Net("net")
for name, shape in {"w1": (32, 16), "b1": (32,), "w2": (32, 16), "b2": (32,)}.items():
    init.GivenTensorFill([], name, shape=shape, values=random.normal(size=shape).astype(np.float32).ravel())
net.AddExternalInput("x")
left, right = net.FC(["x", "w1", "b1"], "left"), net.FC(["x", "w2", "b2"], "right")
net.AddExternalOutput(net.LeakySum([left, right], "y", alpha=0.25))
made = serverquant.quantize(init, net, random.normal(size=(200, 16)).astype(np.float32))
print([op.type for op in made.predict.op])
x = random.normal(size=(50, 16)).astype(np.float32)
want, got = serverquant.load(init, net)(x=x)["y"], serverquant.load(made.init, made.predict)(x=x)["y"]
print(f"{20 * np.log10(np.linalg.norm(want) / np.linalg.norm(want - got)):.0f} dB")
