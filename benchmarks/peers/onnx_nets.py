"""fp32 NetDefs as ONNX models, in memory: what ONNX Runtime is given to run.

Covers the operators of the fp32 nets in `nets/`. Reshapes whose shape the exporter computed from the batch size
(Shape, Gather, ExpandDims, Concat, Reshape) are carried over as they are: ONNX Runtime folds them itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
Nodes = list[onnx.NodeProto]


class Converter:
    """Turns the operators of one net into nodes; `constants` collects weights and the inputs that were arguments."""

    def __init__(self, constants: dict[str, np.ndarray]):
        self.constants = constants

    def constant(self, op: Any, what: str, value: np.ndarray) -> str:
        """The name of a new constant that belongs to this operator."""
        name = f"{op.output[0]}/{what}"
        self.constants[name] = value
        return name

    def nodes(self, op: Any) -> Nodes:
        """The nodes that do what the operator does. KeyError for an operator not known here."""
        return CONVERSIONS[op.type](self, op, arguments(op))


def arguments(op: Any) -> dict[str, Any]:
    """Argument name -> number, bytes or list."""
    return {arg.name: _value(arg) for arg in op.arg}


def _value(arg: Any) -> Any:
    for field in ("f", "i", "s"):
        if arg.HasField(field):
            return getattr(arg, field)
    return list(arg.ints) or list(arg.floats) or list(arg.strings)


def same(onnx_type: str, **fixed: Any) -> Callable[[Converter, Any, dict[str, Any]], Nodes]:
    """A conversion to one node with the same inputs and outputs, and fixed attributes."""

    def convert(_: Converter, op: Any, __: dict[str, Any]) -> Nodes:
        return [helper.make_node(onnx_type, list(op.input), list(op.output), **fixed)]

    return convert


def conv(_: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    return [helper.make_node("Conv", list(op.input), list(op.output), kernel_shape=args["kernels"],
                             strides=args.get("strides", [1, 1]), pads=args.get("pads", [0, 0, 0, 0]),
                             dilations=args.get("dilations", [1, 1]), group=args.get("group", 1))]


def pool(kind: str) -> Callable[[Converter, Any, dict[str, Any]], Nodes]:
    def convert(_: Converter, op: Any, args: dict[str, Any]) -> Nodes:
        if args.get("global_pooling"):
            return [helper.make_node(f"Global{kind}Pool", list(op.input), [op.output[0]])]
        return [helper.make_node(f"{kind}Pool", list(op.input), [op.output[0]], kernel_shape=args["kernels"],
                                 strides=args.get("strides", [1, 1]), pads=args.get("pads", [0, 0, 0, 0]))]

    return convert


def clip(converter: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    low, high = (converter.constant(op, end, np.array(args[end], np.float32)) for end in ("min", "max"))
    return [helper.make_node("Clip", [op.input[0], low, high], list(op.output))]


def fc(_: Converter, op: Any, __: dict[str, Any]) -> Nodes:
    x, w, b = op.input
    flat = f"{op.output[0]}/flat"
    return [helper.make_node("Flatten", [x], [flat], axis=1),
            helper.make_node("Gemm", [flat, w, b], list(op.output), transB=1)]


def flatten(_: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    return [helper.make_node("Flatten", list(op.input), list(op.output), axis=args.get("axis", 1))]


def gather(_: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    return [helper.make_node("Gather", list(op.input), list(op.output), axis=args.get("axis", 0))]


def expand_dims(converter: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    axes = converter.constant(op, "axes", np.array(args["dims"], np.int64))
    return [helper.make_node("Unsqueeze", [op.input[0], axes], list(op.output))]


def concat(_: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    return [helper.make_node("Concat", list(op.input), [op.output[0]], axis=args.get("axis", 1))]


def reshape(converter: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    shape = op.input[1] if len(op.input) > 1 else converter.constant(op, "shape", np.array(args["shape"], np.int64))
    return [helper.make_node("Reshape", [op.input[0], shape], [op.output[0]])]


def spatial_bn(_: Converter, op: Any, args: dict[str, Any]) -> Nodes:
    return [helper.make_node("BatchNormalization", list(op.input), [op.output[0]], epsilon=args.get("epsilon", 1e-5))]


CONVERSIONS = {
    "Conv": conv, "FC": fc, "Relu": same("Relu"), "Clip": clip, "MaxPool": pool("Max"), "AveragePool": pool("Average"),
    "Add": same("Add"), "Sum": same("Sum"), "Mul": same("Mul"), "SpatialBN": spatial_bn, "Concat": concat,
    "Softmax": same("Softmax", axis=1), "Flatten": flatten, "Reshape": reshape, "Shape": same("Shape"),
    "Gather": gather, "ExpandDims": expand_dims, "Copy": same("Identity"),
}
DTYPES = {"GivenTensorFill": np.float32, "GivenTensorInt64Fill": np.int64, "GivenTensorIntFill": np.int32}


def filled(init_net: Any) -> dict[str, np.ndarray]:
    """Blob -> values, of an init net that consists of GivenTensor fills."""
    blobs = {}
    for op in init_net.op:
        args = {arg.name: arg for arg in op.arg}
        values = args["values"].floats or args["values"].ints
        blobs[op.output[0]] = np.array(values, DTYPES[op.type]).reshape(list(args["shape"].ints))
    return blobs


def convert(init_net: Any, predict_net: Any, inputs: dict[str, np.ndarray]) -> onnx.ModelProto:
    """The ONNX model of a pair of NetDef messages, for inputs of these shapes."""
    converter = Converter(filled(init_net))
    nodes = [node for op in predict_net.op for node in converter.nodes(op)]
    takes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in inputs.items()]
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in predict_net.external_output]
    weights = [numpy_helper.from_array(array, name) for name, array in converter.constants.items()]
    graph = helper.make_graph(nodes, predict_net.name or "net", takes, gives, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
