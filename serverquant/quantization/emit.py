"""Writes an int8 net: what layers, sums, pools and concatenations compute becomes operators of engine DNNLOWP.

Conv and FC with constant weights are always quantized, the others where what they read is int8 already. Whatever stays
float gets conversions before it and behind it, once for each blob. Int8 blobs of four dimensions are NHWC; in a net of
order NCHW the float side is converted where the two meet.

    relu(z) of an int8 layer: with scale s, zero point 0 and a range of 0 to h, requantizing z saturates at 0 and at
    255 s = h, which is relu, and clip(0, h): the operator behind the layer goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.proto import OperatorDef
from serverquant.proto.args import Arguments
from serverquant.qparams import QParams, choose, choose_weight, quantize, quantize_bias
from serverquant.quantization.net import Net, arguments, operator
from serverquant.quantization.statistics import Statistics
from serverquant.runtime import registry

ENGINE = "DNNLOWP"
WINDOW = ("kernel", "kernels", "kernel_h", "kernel_w", "stride", "strides", "stride_h", "stride_w")
PADS = ("pad", "pads", "pad_t", "pad_l", "pad_b", "pad_r")
CONV_ARGS = (*WINDOW, *PADS, "dilation", "dilations", "dilation_h", "dilation_w", "group")
POOL_ARGS = (*WINDOW, *PADS, "global_pooling")
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
class Emitted:
    """ops: of the net. init_ops: fills of the int8 weights. By float blob: params and int8, the parameters and the name
    of its int8 form; quantized, the int8 type that writes it; stays, why the operator that writes it stays float."""

    ops: list[OperatorDef] = field(default_factory=list)
    init_ops: list[OperatorDef] = field(default_factory=list)
    params: dict[str, QParams] = field(default_factory=dict)
    int8: dict[str, str] = field(default_factory=dict)
    stays: dict[str, str] = field(default_factory=dict)
    quantized: dict[str, str] = field(default_factory=dict)


def emit(
    net: Net, statistics: Statistics, params_of: Callable[[str], QParams], weight_kind: str, pair_safe: bool
) -> Emitted:
    """Make the int8 operators; `net.ops` becomes them. params_of: the parameters chosen for a blob. weight_kind: of all
    weights. pair_safe: no weight may make a pair of products saturate."""
    writer = _Writer(net, statistics, params_of, weight_kind, pair_safe)
    writer.run()
    net.ops = writer.out.ops
    return writer.out


class _Writer:
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
        self.add(operator("Int8Quantize", [source], [found.name], ENGINE, **_out(params)))
        return found

    def is_image(self, name: str) -> bool:
        """Whether float and int8 form differ in layout."""
        return self.order == "NCHW" and len(self.shape(name)) == 3

    def shape(self, name: str) -> tuple[int, ...]:
        return self.statistics.blobs[name].shape if name in self.statistics.blobs else ()

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

    def write(self, op: OperatorDef, type: str, inputs: list[str], fuse: bool = True, **args: Any) -> None:
        """An int8 operator for op, fused with the activation behind it."""
        name, params, relu = self.output(op, fuse)
        made = operator(type + relu, inputs, [self.new(name, params).name], ENGINE, **_out(params), **args)
        self.out.quantized[name] = made.type
        self.add(made)

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
                    **_out(params, order=False),
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


def weight_params(value: np.ndarray, kind: str) -> QParams:
    """Unsigned parameters of a weight: min_max has one scale for both signs, others what `choose_weight` says."""
    if kind == "min_max":
        most = float(np.abs(value).max(initial=0.0))
        return choose(-most, most, symmetric=True)
    found = choose_weight(value, kind, symmetric=True)
    return QParams(found.scale, found.zero_point + 128)


def widened(value: np.ndarray, params: QParams) -> QParams:
    """The parameters with the scale made so large that pairs of products fit int16.

    Caffe2 adds products x0 w0 + x1 w1 of neighbours along K in saturating int16: without VNNI everywhere, in its
    depthwise 3x3 kernel on every CPU. With x of 0 to 255 no pair leaves int16 when positive w of a pair add up to at
    most 128, and negative ones to at least -128.
    """
    if params.zero_point != 128:
        params = weight_params(value, "min_max")
    while (worst := _worst_pair(quantize(value, params))) > 128:
        params = params._replace(scale=float(np.float32(params.scale * worst / 128)))
    return params


def _worst_pair(stored: np.ndarray) -> int:
    """The largest sum of magnitudes of one sign in pairs along K."""
    signed = stored.reshape(len(stored), -1).astype(np.int32) - 128
    pairs = np.pad(signed, ((0, 0), (0, signed.shape[1] % 2))).reshape(-1, 2)
    return int(max(np.maximum(pairs, 0).sum(1).max(initial=0), -np.minimum(pairs, 0).sum(1).min(initial=0)))


def _out(params: QParams, order: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {"Y_scale": params.scale, "Y_zero_point": params.zero_point}
    return {**found, "order": "NHWC"} if order else found


def _copied(args: Arguments, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The arguments that the int8 form takes over; Stays when there are others."""
    for name in args.names():
        if name not in allowed and name not in IGNORED:
            raise Stays(f"its argument {name} has no int8 form")
    return {name: args.value(name) for name in args.names() if name in allowed}


# ---- operators ------------------------------------------------------------------------------------------------------


def conv(w: _Writer, op: OperatorDef) -> None:
    """Conv in two dimensions, as Int8Conv with its weights M, kernel, C."""
    value, args = w.constant(op), _copied(arguments(op), CONV_ARGS)
    if value.ndim != 4:
        raise Stays(f"it is a convolution in {value.ndim - 2} dimensions")
    turned = value.transpose(0, 2, 3, 1) if w.order == "NCHW" else value
    deep, group = turned.shape[3] == 1, arguments(op).int("group", 1)
    if deep and group % 8 == 0 and len(value) != group:
        raise Stays("Caffe2 is wrong about depthwise convolutions of several outputs a channel")
    if _dilated(args) and turned.shape[1:3] == (3, 3) and len(value) // group == turned.shape[3] in (4, 8, 16):
        raise Stays("Caffe2 forgets the dilation of such convolutions")
    x = _input(w, op)
    weight, scale = w.weight(op.input[1], turned, pair_safe=deep and group > 1)
    bias = w.bias(op, len(value), _product(x.params.scale, scale))
    w.write(op, "Int8Conv", [x.name, weight, bias], **args)


def _dilated(args: dict[str, Any]) -> bool:
    given = [args.get(name, 1) for name in ("dilation", "dilation_h", "dilation_w")]
    return any(d != 1 for d in (*given, *args.get("dilations", ())))


def fc(w: _Writer, op: OperatorDef) -> None:
    """FC, as Int8FC; the columns of its weight follow the layout of what it reads."""
    value, args = w.constant(op), arguments(op)
    _copied(args, ("axis", "axis_w"))
    axis = args.int("axis", 1)
    if args.int("axis_w", 1) != 1 or (axis != 1 and (axis < 0 or w.is_image(op.input[0]))):
        raise Stays("of its axes")
    x = _input(w, op)
    if axis != 1 and x.unflat:
        raise Stays("it reads a flattened image")
    matrix = value.reshape(len(value), -1)
    shape = x.unflat or (w.shape(op.input[0]) if w.is_image(op.input[0]) else None)
    if shape:
        c, height, width = shape
        matrix = matrix.reshape(-1, c, height, width).transpose(0, 2, 3, 1).reshape(len(matrix), -1)
    weight, scale = w.weight(f"{op.input[1]}_nhwc" if shape and shape[1:] != (1, 1) else op.input[1], matrix)
    bias = w.bias(op, len(value), _product(x.params.scale, scale))
    axes: dict[str, Any] = {"axis": axis} if axis != 1 else {}
    w.write(op, "Int8FC", [x.name, weight, bias], **axes)


def _input(w: _Writer, op: OperatorDef) -> Quantized:
    """The int8 input of a layer; input and output are checked first, so that nothing is written for one that stays."""
    if op.input[0] not in w.int8:
        w.params(op.input[0])
        if w.net.weight(op.input[0]) is not None:
            raise Stays("it reads a constant")
    after = w.activation(op.output[0])
    w.params(after[0].output[0] if after else op.output[0])
    return w.as_int8(op.input[0])


def _product(a: float, b: float) -> float:
    return float(np.float32(a) * np.float32(b))


def add(w: _Writer, op: OperatorDef) -> None:
    """Add and Sum of equal shapes, one of them int8 already."""
    _copied(arguments(op), ())
    if not any(name in w.int8 for name in op.input):
        raise Stays("nothing that it reads is int8")
    if len(op.input) < 2 or len({w.shape(name) for name in op.input}) != 1 or _reads_constants(w, op):
        raise Stays("it adds other than blobs of one shape")
    _check(w, op)
    w.write(op, "Int8Sum", [w.as_int8(name).name for name in op.input])


def concat(w: _Writer, op: OperatorDef) -> None:
    """Concat along an axis other than the batch's, one of its inputs int8 already."""
    args = arguments(op)
    _copied(args, ("axis",))
    if not any(name in w.int8 for name in op.input):
        raise Stays("nothing that it reads is int8")
    ranks = {len(w.shape(name)) + 1 for name in op.input}
    if len(ranks) != 1 or _reads_constants(w, op):
        raise Stays("it joins other than blobs of one rank")
    if any(name in w.readers or name in w.net.kept for name in op.output[1:]):
        raise Stays("its second output is read")
    rank = ranks.pop()
    axis = args.int("axis", 1 if w.order == "NCHW" else rank - 1) % rank
    if axis == 0:
        raise Stays("it joins batches")
    if w.is_image(op.input[0]):
        axis = (0, 3, 1, 2)[axis]
    _check(w, op, fuse=False)
    parts = [w.as_int8(name).name for name in op.input]
    name, params, _ = w.output(op, fuse=False)
    split = w.net.unique(f"{name}_split")
    made = operator(
        "Int8Concat", parts, [w.new(name, params).name, split], ENGINE, **_out(params, order=False), axis=axis
    )
    w.out.quantized[name] = made.type
    w.add(made)


def _reads_constants(w: _Writer, op: OperatorDef) -> bool:
    return any(w.net.weight(name) is not None for name in op.input)


def _check(w: _Writer, op: OperatorDef, fuse: bool = True) -> None:
    """Stays, before anything is written, when one of the parameters is missing."""
    for name in op.input:
        if name not in w.int8:
            w.params(name)
        elif w.int8[name].unflat:
            raise Stays("it reads a flattened image")
    after = w.activation(op.output[0]) if fuse else None
    w.params(after[0].output[0] if after else op.output[0])


def _only_int8(w: _Writer, op: OperatorDef) -> Quantized:
    x = w.int8.get(op.input[0])
    if x is None:
        raise Stays("what it reads is not int8")
    if x.unflat:
        raise Stays("it reads a flattened image")
    return x


def pool(w: _Writer, op: OperatorDef) -> None:
    """MaxPool, which keeps parameters, and AveragePool."""
    x, args = _only_int8(w, op), arguments(op)
    copied = _copied(args, (*POOL_ARGS, "count_include_pad") if not args.int("count_include_pad", 0) else POOL_ARGS)
    copied.pop("count_include_pad", None)
    if len(w.shape(op.input[0])) != 3:
        raise Stays("it does not pool images")
    if op.type == "AveragePool":
        w.write(op, "Int8AveragePool", [x.name], fuse=False, **copied)
        return
    name = op.output[0]
    w.add(operator("Int8MaxPool", [x.name], [w.new(name, x.params).name], ENGINE, **_out(x.params), **copied))
    w.out.quantized[name] = "Int8MaxPool"


def relu(w: _Writer, op: OperatorDef) -> None:
    """Relu by itself keeps the parameters."""
    x = _only_int8(w, op)
    name = op.output[0]
    w.add(operator("Int8Relu", [x.name], [w.new(name, x.params).name], ENGINE, **_out(x.params)))
    w.out.quantized[name] = "Int8Relu"


def flatten(w: _Writer, op: OperatorDef) -> None:
    """Flatten at axis 1, and Reshape to the same, cost nothing: an FC that reads it takes the image as it is."""
    x, name = _only_int8(w, op), op.output[0]
    if w.shape(name) != (np.prod(w.shape(op.input[0]), dtype=int),):
        raise Stays("it does more than to join all dimensions but the first")
    if any(reader.type != "FC" for reader in w.readers.get(name, [])) or name in w.net.kept:
        raise Stays("others than FC read it")
    if any(other in w.readers or other in w.net.kept for other in op.output[1:]):
        raise Stays("its second output is read")
    unflat = w.shape(op.input[0]) if w.is_image(op.input[0]) else None
    w.int8[name] = Quantized(x.name, x.params, unflat)
    w.flattens[name] = op
    w.out.quantized[name] = "(none)"


POOLS = ("MaxPool", "AveragePool")
MAKERS: dict[str, Callable[[_Writer, OperatorDef], None]] = {
    "Conv": conv,
    "FC": fc,
    "Add": add,
    "Sum": add,
    "Concat": concat,
    **dict.fromkeys(POOLS, pool),
    "Relu": relu,
    "Flatten": flatten,
    "Reshape": flatten,
}
