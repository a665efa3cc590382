"""SoftStep: y = clip(x / width + 0.5, 0, 1). Run this file to see it work."""

import _softstep
import numpy as np

import serverquant
from serverquant import core, workspace
from serverquant.runtime.schema import Arg, same_as_first


@serverquant.register(
    "SoftStep",
    inputs=1,
    inplace=[(0, 0)],
    args=[Arg("width", "float", 1.0, "How wide the step is.")],
    shape=same_as_first,
    doc="y = clip(x / width + 0.5, 0, 1)",
)
class SoftStep(serverquant.Operator):
    takes = "float"

    def setup(self):
        if not self.args.width > 0:
            raise serverquant.ServerquantError(f"argument width is {self.args.width}; expected more than 0")

    def plan(self, ins, outs):
        return _softstep.softstep_step(self.args.width)


if __name__ == "__main__":
    net = core.Net("steps")
    net.SoftStep("x", "y", width=4.0)
    workspace.FeedBlob("x", np.linspace(-3, 3, 7, dtype=np.float32))
    workspace.RunNetOnce(net)
    print(workspace.FetchBlob("y"))
