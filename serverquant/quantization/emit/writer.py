"""What the makers of all families share: the blobs between float and int8, fusing, weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.proto import OperatorDef
from serverquant.proto.args import Arguments
from serverquant.qparams import QParams, choose, quantize, quantize_bias
from serverquant.quantization.emit.forms import (
    DECLARED,
    DEMANDS,
    MAKERS,
    WRITES,
    Emitted,
    Maker,
    Quantized,
    Stays,
    engine_of,
)
from serverquant.quantization.emit.weights import Weight, by_blocks, least_scales, quantized
from serverquant.quantization.net import POOLS, Net, arguments, operator
from serverquant.quantization.rules import Rule
from serverquant.quantization.statistics import Statistics
from serverquant.runtime import registry

WINDOW = ("kernel", "kernels", "kernel_h", "kernel_w", "stride", "strides", "stride_h", "stride_w")
IMAGES = ("Conv", *POOLS, "SpatialBN", "AffineChannel", "GroupNorm", "ChannelShuffle", "ResizeNearest",
          "ConvTranspose", "RoIAlign")  # fmt: skip
PASS_ON = ("MaxPool", "ChannelShuffle", "ResizeNearest")  # what they write has the parameters of what they read
WHY = {
    "RoIAlign": "its int8 form is slower than the float one with conversions around it",
    "Softmax": "its int8 form has steps of 1/256, which are too coarse",
}
IGNORED = ("order", "use_cudnn", "cudnn_exhaustive_search", "ws_nbytes_limit", "exhaustive_search")


class Writer:
    def __init__(
        self,
        net: Net,
        statistics: Statistics,
        params_of: Callable[[str], QParams],
        rules: Mapping[str, Rule],
        target: str,
        pair_safe: bool,
        embeddings: str,
    ):
        self.net, self.statistics, self.params_of = net, statistics, params_of
        self.rules, self.target, self.pair_safe, self.embeddings = rules, target, pair_safe, embeddings
        self.out = Emitted()
        self.readers, self.writers = net.readers(), net.writers()
        self.int8: dict[str, Quantized] = {}  # float blob -> its int8 form
        self.floats = {*net.inputs, *net.captured}  # blobs that exist as float
        self.flattens: dict[str, OperatorDef] = {}  # blob -> the Flatten that would make its float form
        self.weights: dict[Hashable, Weight] = {}
        self.tables: dict[tuple[str, int], str] = {}  # (table, bits) -> its fused form
        self.order = self._order_of_net()
        self.done: set[int] = set()

    def run(self) -> None:
        for op in self.net.ops:
            if id(op) in self.done:
                continue
            try:
                self._maker(op)(self, op)
            except Stays as reason:
                self.out.stays[op.output[0] if op.output else op.type] = f"{op.type}: {reason}"
                self.keep(op)
        for name in self.net.outputs:
            self.as_float(name)
        self._drop_unread()

    def rule(self, op: OperatorDef) -> Rule:
        return self.rules[op.output[0]] if op.output else Rule()

    def _maker(self, op: OperatorDef) -> Maker:
        if self.rule(op).float:
            raise Stays("it was asked to stay float")
        declared = registry.schema(op.type).int8
        kind = DECLARED if declared else op.type
        if kind not in MAKERS:
            raise Stays(WHY.get(op.type, f"{op.type} is computed in float"))
        if op.engine:
            raise Stays(f"it asks for engine {op.engine}")
        for type in (declared,) if declared else WRITES[kind]:
            if engine_of(type) is None:
                raise Stays(f"the runtime has no {type}")
        return MAKERS[kind]

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
        """Of its images. Without operators that know of images, tensors of four dimensions are nothing special."""
        orders = {arguments(op).string("order", "NCHW") for op in self.net.ops if op.type in IMAGES}
        if len(orders) > 1:
            raise QuantizationError(f'net "{self.net.name}" mixes NCHW and NHWC operators; give it one order')
        return orders.pop() if orders else "NHWC"

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
        self.add("Int8Dequantize", [self.int8[name].name], [target])
        if turned:
            self.out.ops.append(operator("NHWC2NCHW", [target], [name]))
        return name

    def as_int8(self, name: str) -> Quantized:
        """The int8 form of a blob, made here when there is none yet."""
        if name in self.int8:
            return self.int8[name]
        if (value := self.net.weight(name)) is not None:
            return self._constant(name, value)
        params, source = self.params(name), name
        if self.is_image(name):
            source = self.net.unique(f"{name}_nhwc")
            self.out.ops.append(operator("NCHW2NHWC", [name], [source]))
        found = self.new(name, params)
        self.add("Int8Quantize", [source], [found.name], **out_arguments(params))
        return found

    def _constant(self, name: str, value: np.ndarray) -> Quantized:
        """An activation that the init net makes, quantized there."""
        params = self.params(name)
        turned = value.transpose(0, 2, 3, 1) if self.is_image(name) else value
        found = self.int8[name] = Quantized(self.net.unique(f"{name}_int8"), params)
        self.fill(found.name, quantize(np.ascontiguousarray(turned), params), params)
        return found

    def is_float(self, name: str) -> bool:
        """Whether a blob is only asked for as float: nothing that reads it has an int8 form."""
        readers = self.readers.get(name, [])
        return self.activation(name) is None and not any(self._has_form(reader) for reader in readers)

    def _has_form(self, op: OperatorDef) -> bool:
        rule = self.rule(op)
        if rule.float or (rule.dynamic and op.type == "FC"):
            return False
        return op.type in MAKERS or bool(registry.schema(op.type).int8)

    def is_image(self, name: str) -> bool:
        """Whether float and int8 form differ in layout."""
        return self.order == "NCHW" and len(self.shape(name)) == 3

    def layout(self, name: str) -> str:
        """The order of a blob's int8 form: NHWC, unless it has one or three spatial dimensions and is NCHW as float."""
        return "NCHW" if self.order == "NCHW" and len(self.shape(name)) in (2, 4) else "NHWC"

    def channel(self, name: str) -> int:
        """The axis of the channels in the float form of an image."""
        return 1 if self.order == "NCHW" else len(self.shape(name))

    def axis(self, name: str, axis: int) -> int:
        """Where an axis of a float blob lies in its int8 form."""
        axis %= len(self.shape(name)) + 1
        return (0, 3, 1, 2)[axis] if self.is_image(name) else axis

    def shape(self, name: str) -> tuple[int, ...]:
        """Without the first dimension."""
        if name in self.statistics.blobs:
            return self.statistics.blobs[name].shape
        value = self.net.weight(name)
        return () if value is None else value.shape[1:]

    def only_int8(self, op: OperatorDef) -> Quantized:
        """The int8 form of input 0, which is there already; Stays where it is not."""
        x = self.int8.get(op.input[0])
        if x is None:
            raise Stays("what it reads is not int8")
        self.refuse_flat(op)
        return x

    def reads_constants(self, op: OperatorDef) -> bool:
        return any(self.net.weight(name) is not None for name in op.input)

    def check(self, op: OperatorDef, fuse: bool = True) -> None:
        """Stays, before anything is written, when one of the parameters is missing."""
        self.refuse_flat(op)
        for name in op.input:
            self.params(name)
        self.check_output(op, fuse)

    def refuse_flat(self, op: OperatorDef) -> None:
        """Stays when the operator reads an image that passes for flattened, but is stored as it was."""
        if any(name in self.int8 and self.int8[name].unflat for name in op.input):
            raise Stays("it reads a flattened image")

    def check_output(self, op: OperatorDef, fuse: bool = True) -> None:
        """Stays when calibration saw no values of what the operator, its activation included, writes."""
        self.output(op, fuse)

    def params(self, name: str) -> QParams:
        if (value := self.net.weight(name)) is not None:
            if value.dtype != np.float32 or not np.isfinite(value).all() or not value.size:
                raise Stays(f'"{name}" is no finite float constant')
            rule = self.rule(self.readers[name][0])
            ends = float(value.min()), float(value.max())
            return self._demanded(name) or choose(*ends, 8, rule.symmetric, rule.power_of_two)
        seen = self.statistics.blobs.get(name)
        if seen is None or not (seen.histogram.total or seen.histogram.not_finite):
            raise Stays(f'calibration saw no float values of "{name}"')
        return self._demanded(name) or self.params_of(name)

    def _demanded(self, name: str) -> QParams | None:
        """What the only reader of a blob wants it to have."""
        readers = self.readers.get(name, [])
        if len(readers) != 1 or name in self.net.kept or readers[0].engine:
            return None
        reader = readers[0]
        if self.rule(reader).float:
            return None
        if reader.type in PASS_ON:
            return self._demanded(reader.output[0])
        return DEMANDS[reader.type](self, reader, name) if reader.type in DEMANDS else None

    def new(self, name: str, params: QParams) -> Quantized:
        """The int8 form that the next operator writes."""
        found = self.int8[name] = Quantized(self.net.unique(f"{name}_int8"), params)
        self.out.params[name], self.out.int8[name] = params, found.name
        return found

    def add(
        self, type: str, inputs: list[str], outputs: list[str], engine: str | None = None, **args: Any
    ) -> OperatorDef:
        """An int8 operator, with the engine that the runtime has it in unless one is given."""
        engine = engine_of(type) or "" if engine is None else engine
        self.out.ops.append(operator(type, inputs, outputs, engine, **args))
        return self.out.ops[-1]

    def requantized(self, x: Quantized, params: QParams) -> str:
        """The name of x with other parameters: what Int8Concat makes of a single input."""
        if x.params == params:
            return x.name
        name = self.net.unique(f"{x.name}_again")
        self._requantize(x, params, name)
        return name

    def _requantize(self, x: Quantized, params: QParams, name: str) -> None:
        split = self.net.unique(f"{name}_split")
        self.add("Int8Concat", [x.name], [name, split], **out_arguments(params), axis=0)

    def some_int8(self, op: OperatorDef) -> None:
        """Stays when nothing that the operator reads is int8 already."""
        if not any(name in self.int8 for name in op.input):
            raise Stays("nothing that it reads is int8")

    # ---- fusing ---------------------------------------------------------------------------------------------------

    def activation(self, name: str) -> tuple[OperatorDef, float] | None:
        return self.net.activation(name, self.readers)

    def output(self, op: OperatorDef, fuse: bool = True) -> tuple[str, QParams, OperatorDef | None]:
        """(blob, parameters) that the int8 form of op writes, and the activation behind it that is part of it."""
        name = op.output[0]
        found = self.activation(name) if fuse else None
        if found is None:
            return name, self.params(name), None
        after, top = found
        params = self.params(after.output[0])
        # choose(0, ...) is what an operator with Relu in its type leaves alone
        power_of_two = self.rule(op).power_of_two and top >= params.max  # else it is cut off at the top by its scale
        return after.output[0], choose(0.0, min(params.max, top), power_of_two=power_of_two), after

    def write(
        self,
        op: OperatorDef,
        type: str,
        inputs: list[str],
        order: bool = True,
        fuse: bool = True,
        more: Sequence[str] = (),
        **args: Any,
    ) -> OperatorDef:
        """An int8 operator for op, fused with the activation behind it. One without a type of its own for that does the
        same: its output's zero point is 0. order: whether it has an argument of that name. more: outputs."""
        if order:
            args["order"] = self.layout(op.output[0])
        name, params, after = self.output(op, fuse)
        if after is not None:
            self.done.add(id(after))
            type += "Relu" if engine_of(f"{type}Relu") == engine_of(type) else ""
        made = self.new(name, params).name
        self.out.quantized[name] = type
        return self.add(type, inputs, [made, *more], **out_arguments(params), **args)

    def write_kept(
        self,
        op: OperatorDef,
        type: str,
        x: Quantized,
        output: int = 0,
        inputs: Sequence[str] = (),
        more: Sequence[str] = (),
        **args: Any,
    ) -> None:
        """An int8 operator for one output of op that leaves scale and zero point as they are. inputs: besides x."""
        name = op.output[output]
        made = self.new(name, x.params).name
        self.out.quantized[name] = type
        self.add(type, [x.name, *inputs], [made, *more], **out_arguments(x.params), **args)

    def write_requantized(self, op: OperatorDef, x: Quantized, params: QParams) -> None:
        """For an op that does nothing but to saturate at the ends of these parameters."""
        name = op.output[0]
        self.out.quantized[name] = "Int8Concat"
        self._requantize(x, params, self.new(name, params).name)

    # ---- weights --------------------------------------------------------------------------------------------------

    def weight(
        self, op: OperatorDef, name: str, value: np.ndarray, sx: float, blocks: int = 1, pair_safe: bool = False
    ) -> Weight:
        """The int8 weight of a layer, output channels first where it has several blocks.

        sx: scale of the layer's input, infinite where its bias is float for good. blocks: so many equal runs of outputs
        get scales of their own. pair_safe: its scale is widened until no pair of products saturates, see `widened`.
        """
        if not np.isfinite(value).all():
            raise Stays(f'the weight "{name}" is not finite')
        rule, pair_safe = self.rule(op), pair_safe or self.pair_safe
        least = least_scales(self._bias(op, len(value))[1], sx, blocks) if blocks > 1 else None
        how = rule.weights, rule.weight_bits, blocks
        key = name, value.shape, pair_safe, how, least is not None and least.tobytes()
        if key not in self.weights:
            scales: tuple[float, ...] = ()
            if least is not None:
                stored, params, scales = by_blocks(value, rule, least, pair_safe)
            else:
                stored, params = quantized(value, rule, pair_safe)
            blob = self.net.unique(f"{name}_int8")
            self.fill(blob, stored, params)
            self.weights[key] = Weight(blob, params.scale, scales)
        return self.weights[key]

    def fill(self, blob: str, stored: np.ndarray, params: QParams) -> None:
        """The init net makes an Int8 blob of these bytes."""
        values = {"shape": stored.shape, "values": stored.tobytes(), **out_arguments(params)}
        self.out.init_ops.append(operator("Int8GivenTensorFill", [], [blob], **values))

    def float_bias(self, op: OperatorDef, n: int) -> str:
        """The bias of a layer alone, zeros where it has none."""
        given, value = self._bias(op, n)
        return self.net.add_weight(given or f"{op.output[0]}_bias", value)

    def _bias(self, op: OperatorDef, n: int) -> tuple[str, np.ndarray]:
        given = op.input[2] if len(op.input) > 2 else ""
        value = self.net.weight(given) if given else np.zeros(n, np.float32)
        if value is None or value.dtype != np.float32 or not np.isfinite(value).all():
            raise Stays("its bias is not a finite constant")
        return given, value

    def bias(self, op: OperatorDef, n: int, scale: float) -> str:
        """A bias of int32, of that scale."""
        given, value = self._bias(op, n)
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


def out_arguments(params: QParams, prefix: str = "Y") -> dict[str, Any]:
    return {f"{prefix}_scale": params.scale, f"{prefix}_zero_point": params.zero_point}


def copied(args: Arguments, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The arguments that the int8 form takes over; Stays when there are others."""
    for name in args.names():
        if name not in allowed and name not in IGNORED:
            raise Stays(f"its argument {name} has no int8 form")
    return {name: args.value(name) for name in args.names() if name in allowed}
