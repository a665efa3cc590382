"""What the makers of all families share: the blobs between float and int8, fusing, weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.proto import OperatorDef
from serverquant.proto.args import Arguments
from serverquant.qparams import QParams, choose, quantize, quantize_bias
from serverquant.quantization.emit.weights import weight_params, widened
from serverquant.quantization.net import Net, arguments, operator
from serverquant.quantization.statistics import Statistics
from serverquant.runtime import registry

ENGINE = "DNNLOWP"
WINDOW = ("kernel", "kernels", "kernel_h", "kernel_w", "stride", "strides", "stride_h", "stride_w")
PADS = ("pad", "pads", "pad_t", "pad_l", "pad_b", "pad_r")
POOLS = ("MaxPool", "AveragePool")
IGNORED = ("order", "use_cudnn", "cudnn_exhaustive_search", "ws_nbytes_limit", "exhaustive_search")


class Stays(Exception):
    """Why an operator stays float."""


@dataclass
class Quantized:
    """An int8 blob. unflat: (C, H, W) when it stands for a flattened image but is stored N, H, W, C."""

    name: str
    params: QParams
    unflat: tuple[int, ...] | None = None


@dataclass
class Layer:
    """A Conv or FC in both forms. op: the float one. made: the int8 one, with its weight and bias as inputs 1 and 2.
    exact: the float weight. image: (C, H, W) when it is an FC whose columns were turned to H, W, C. nchw: it is a Conv
    whose weight was."""

    op: OperatorDef
    made: OperatorDef
    exact: np.ndarray
    image: tuple[int, ...] | None = None
    nchw: bool = False

    def restored(self, weight: np.ndarray) -> np.ndarray:
        """A weight as the int8 form stores it, in the layout of the float one."""
        if self.image:
            c, height, width = self.image
            return weight.reshape(-1, height, width, c).transpose(0, 3, 1, 2).reshape(self.exact.shape)
        return weight.transpose(0, 3, 1, 2) if self.nchw else weight.reshape(self.exact.shape)


@dataclass
class Emitted:
    """ops: of the net. init_ops: fills of the int8 weights. layers: in the order of the net. By float blob: params and
    int8, the parameters and the name of its int8 form; quantized, the int8 type that writes it; stays, why the operator
    that writes it stays float."""

    ops: list[OperatorDef] = field(default_factory=list)
    init_ops: list[OperatorDef] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    params: dict[str, QParams] = field(default_factory=dict)
    int8: dict[str, str] = field(default_factory=dict)
    stays: dict[str, str] = field(default_factory=dict)
    quantized: dict[str, str] = field(default_factory=dict)


Maker = Callable[["Writer", OperatorDef], None]
MAKERS: dict[str, Maker] = {}


def emits(*types: str) -> Callable[[Maker], Maker]:
    """Decorator: the function that writes the int8 form of operators of these float types, or raises Stays."""

    def add(make: Maker) -> Maker:
        MAKERS.update(dict.fromkeys(types, make))
        return make

    return add


class Writer:
    def __init__(
        self, net: Net, statistics: Statistics, params_of: Callable[[str], QParams], weight_kind: str, pair_safe: bool
    ):
        self.net, self.statistics, self.params_of = net, statistics, params_of
        self.weight_kind, self.pair_safe = weight_kind, pair_safe
        self.out = Emitted()
        self.readers = net.readers()
        self.int8: dict[str, Quantized] = {}  # float blob -> its int8 form
        self.floats = {*net.inputs, *net.captured}  # blobs that exist as float
        self.flattens: dict[str, OperatorDef] = {}  # blob -> the Flatten that would make its float form
        self.weights: dict[tuple[str, tuple[int, ...], bool], tuple[str, float]] = {}
        self.order = self._order_of_net()
        self.done: set[int] = set()

    def run(self) -> None:
        for op in self.net.ops:
            if id(op) in self.done:
                continue
            make = MAKERS.get(op.type)
            try:
                if make is None:
                    raise Stays(f"{op.type} is computed in float")
                if op.engine:
                    raise Stays(f"it asks for engine {op.engine}")
                make(self, op)
            except Stays as reason:
                self.out.stays[op.output[0] if op.output else op.type] = f"{op.type}: {reason}"
                self.keep(op)
        for name in self.net.outputs:
            self.as_float(name)
        self._drop_unread()

    def _drop_unread(self) -> None:
        """Take out what nothing reads, such as the shape that a Reshape no longer asks for."""
        wanted, left = set(self.net.kept), []
        for op in reversed(self.out.ops):
            if not op.output or wanted & set(op.output) or registry.schema(op.type).effects:
                wanted.update(op.input)
                left.append(op)
            else:
                for name in op.output:
                    self.out.stays.pop(name, None)
        self.out.ops = left[::-1]

    def _order_of_net(self) -> str:
        orders = {arguments(op).string("order", "NCHW") for op in self.net.ops if op.type in ("Conv", *POOLS)}
        if len(orders) > 1:
            raise QuantizationError(f'net "{self.net.name}" mixes NCHW and NHWC operators; give it one order')
        return orders.pop() if orders else "NCHW"

    # ---- between float and int8 -----------------------------------------------------------------------------------

    def keep(self, op: OperatorDef) -> None:
        for name in op.input:
            self.as_float(name)
        self.out.ops.append(op)
        self.floats.update(op.output)

    def as_float(self, name: str) -> str:
        """Make sure that the blob exists as float."""
        if name in self.floats or name not in self.int8:
            return name
        self.floats.add(name)
        if name in self.flattens:
            flatten = self.flattens[name]
            self.as_float(flatten.input[0])
            self.out.ops.append(flatten)
            return name
        turned = self.is_image(name)
        target = self.net.unique(f"{name}_nhwc_float") if turned else name
        self.out.ops.append(operator("Int8Dequantize", [self.int8[name].name], [target], ENGINE))
        if turned:
            self.out.ops.append(operator("NHWC2NCHW", [target], [name]))
        return name

    def as_int8(self, name: str) -> Quantized:
        """The int8 form of a blob, made here when there is none yet."""
        if name in self.int8:
            return self.int8[name]
        params, source = self.params(name), name
        if self.is_image(name):
            source = self.net.unique(f"{name}_nhwc")
            self.out.ops.append(operator("NCHW2NHWC", [name], [source]))
        found = self.new(name, params)
        self.add(operator("Int8Quantize", [source], [found.name], ENGINE, **out_arguments(params)))
        return found

    def is_image(self, name: str) -> bool:
        """Whether float and int8 form differ in layout."""
        return self.order == "NCHW" and len(self.shape(name)) == 3

    def shape(self, name: str) -> tuple[int, ...]:
        return self.statistics.blobs[name].shape if name in self.statistics.blobs else ()

    def only_int8(self, op: OperatorDef) -> Quantized:
        """The int8 form of input 0, which is there already; Stays where it is not."""
        x = self.int8.get(op.input[0])
        if x is None:
            raise Stays("what it reads is not int8")
        if x.unflat:
            raise Stays("it reads a flattened image")
        return x

    def reads_constants(self, op: OperatorDef) -> bool:
        return any(self.net.weight(name) is not None for name in op.input)

    def check(self, op: OperatorDef, fuse: bool = True) -> None:
        """Stays, before anything is written, when one of the parameters is missing."""
        for name in op.input:
            if name not in self.int8:
                self.params(name)
            elif self.int8[name].unflat:
                raise Stays("it reads a flattened image")
        self.check_output(op, fuse)

    def check_output(self, op: OperatorDef, fuse: bool = True) -> None:
        """Stays when calibration saw no values of what the operator, its activation included, writes."""
        after = self.activation(op.output[0]) if fuse else None
        self.params(after[0].output[0] if after else op.output[0])

    def params(self, name: str) -> QParams:
        seen = self.statistics.blobs.get(name)
        if seen is None or not (seen.histogram.total or seen.histogram.not_finite):
            raise Stays(f'calibration saw no float values of "{name}"')
        return self.params_of(name)

    def new(self, name: str, params: QParams) -> Quantized:
        """The int8 form that the next operator writes."""
        found = self.int8[name] = Quantized(self.net.unique(f"{name}_int8"), params)
        self.out.params[name], self.out.int8[name] = params, found.name
        return found

    def add(self, op: OperatorDef) -> None:
        if registry.operator_class(op.type, op.engine) is None:
            raise QuantizationError(f"the runtime has no {op.type} with engine {op.engine}")
        self.out.ops.append(op)

    # ---- fusing ---------------------------------------------------------------------------------------------------

    def activation(self, name: str) -> tuple[OperatorDef, float] | None:
        """The Relu, or Clip from 0, that alone reads a blob, and its upper end."""
        readers = self.readers.get(name, [])
        if len(readers) != 1 or name in self.net.kept or readers[0].engine:
            return None
        op, args = readers[0], arguments(readers[0])
        if op.type == "Relu":
            return op, np.inf
        if op.type == "ReluN" and args.float("n", 1.0) > 0:
            return op, args.float("n", 1.0)
        if op.type == "Clip" and args.float("min", -np.inf) == 0 and args.float("max", np.inf) > 0:
            return op, args.float("max", np.inf)
        return None

    def output(self, op: OperatorDef, fuse: bool = True) -> tuple[str, QParams, str]:
        """(blob, parameters, "Relu" or "") that the int8 form of op writes, its activation included."""
        name = op.output[0]
        found = self.activation(name) if fuse else None
        if found is None:
            return name, self.params(name), ""
        after, top = found
        params = self.params(after.output[0])
        self.done.add(id(after))
        return after.output[0], choose(0.0, min(params.max, top)), "Relu"

    def write(self, op: OperatorDef, type: str, inputs: list[str], fuse: bool = True, **args: Any) -> OperatorDef:
        """An int8 operator for op, fused with the activation behind it."""
        name, params, relu = self.output(op, fuse)
        made = operator(type + relu, inputs, [self.new(name, params).name], ENGINE, **out_arguments(params), **args)
        self.out.quantized[name] = made.type
        self.add(made)
        return made

    # ---- weights --------------------------------------------------------------------------------------------------

    def weight(self, name: str, value: np.ndarray, pair_safe: bool = False) -> tuple[str, float]:
        """(blob, scale) of an int8 weight, output channels first; zero point 128 where its kind is min_max.

        pair_safe: its scale is widened until no pair of products saturates, see `widened`.
        """
        pair_safe = pair_safe or self.pair_safe
        key = name, value.shape, pair_safe
        if key not in self.weights:
            if not np.isfinite(value).all():
                raise Stays(f'the weight "{name}" is not finite')
            params = weight_params(value, self.weight_kind)
            if pair_safe:
                params = widened(value, params)
            blob = self.net.unique(f"{name}_int8")
            stored = quantize(value, params)
            self.out.init_ops.append(
                operator(
                    "Int8GivenTensorFill",
                    [],
                    [blob],
                    shape=value.shape,
                    values=stored.tobytes(),
                    **out_arguments(params, order=False),
                )
            )
            self.weights[key] = blob, params.scale
        return self.weights[key]

    def bias(self, op: OperatorDef, n: int, scale: float) -> str:
        given = op.input[2] if len(op.input) > 2 else ""
        value = self.net.weight(given) if given else np.zeros(n, np.float32)
        if value is None or value.dtype != np.float32 or not np.isfinite(value).all():
            raise Stays("its bias is not a finite constant")
        blob = self.net.unique(f"{given or op.output[0] + '_bias'}_int8")
        values = quantize_bias(value.reshape(-1), scale)
        self.out.init_ops.append(
            operator(
                "Int8GivenIntTensorFill", [], [blob], shape=values.shape, values=values, Y_scale=scale, Y_zero_point=0
            )
        )
        return blob

    def constant(self, op: OperatorDef) -> np.ndarray:
        value = self.net.weight(op.input[1])
        if value is None or value.dtype != np.float32:
            raise Stays("its weight is not a float constant")
        return value


def out_arguments(params: QParams, order: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {"Y_scale": params.scale, "Y_zero_point": params.zero_point}
    return {**found, "order": "NHWC"} if order else found


def copied(args: Arguments, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The arguments that the int8 form takes over; Stays when there are others."""
    for name in args.names():
        if name not in allowed and name not in IGNORED:
            raise Stays(f"its argument {name} has no int8 form")
    return {name: args.value(name) for name in args.names() if name in allowed}
