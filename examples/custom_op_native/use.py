"""Registers the operator and runs it in nets of two types."""

import leaky_sum
import numpy as np

import serverquant
from serverquant import core, workspace

serverquant.register_native(leaky_sum.op)

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
