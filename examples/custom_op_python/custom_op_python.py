"""Operators in Python: a function, a class with a shape rule, and one that lives in a net alone."""

import numpy as np

import serverquant
from serverquant import core, workspace
from serverquant.runtime.schema import same_as_first


@serverquant.register("Bump")
def bump(x, width=1.0):
    """Inputs are positional, arguments of the net have defaults."""
    return np.exp(-np.square(x / width))


@serverquant.register("Scale2", inputs=1, outputs=1, shape=same_as_first)
class Scale2(serverquant.PythonOperator):
    """With a shape rule the output is there to be written."""

    def run(self, inputs, outputs):
        np.multiply(inputs[0], 2, out=outputs[0])


def top_row(inputs, outputs):
    """As Caffe2's net.Python: lists of tensors with data, shape, reshape, feed."""
    x = inputs[0]
    outputs[0].reshape(x.shape[1:])
    outputs[0].data[...] = x.data[np.argmax(x.data.sum(axis=1))]


net = core.Net("custom")
y = net.Scale2(net.Bump("x", "bump", width=2.0), "y")
net.Python(top_row)([y], ["top"])
workspace.FeedBlob("x", np.arange(6, dtype=np.float32).reshape(3, 2) - 2)
workspace.RunNetOnce(net)
print(workspace.FetchBlob("y"))
print(workspace.FetchBlob("top"))
