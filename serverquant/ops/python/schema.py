"""Operators whose body is a function of the program that made the net."""

from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg

declare(
    "Python",
    inputs=(0, MANY),
    outputs=(0, MANY),
    inplace="any",
    effects=None,
    args=[
        Arg("token", "string", "", "Which function, of those that this process has made operators of."),
        Arg("pickled_builder", "bytes", b"", "Instead of a token: (builder, args, kwargs) that makes the function."),
        Arg("pass_workspace", "bool", False, "With pickled_builder: the function gets the workspace too."),
        Arg("pickled_grad_builder", "bytes", b"", "Not used: there are no gradients."),
        Arg("grad_input_indices", "ints", (), "Not used."),
        Arg("grad_output_indices", "ints", (), "Not used."),
    ],
    doc="Calls f(inputs, outputs), lists of tensors with `data`, `shape`, `reshape`, `feed`. See core.Net.Python.",
)
