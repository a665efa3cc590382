"""What the makers of all families share: the blobs between float and int8, fusing, weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from serverquant._base.errors import QuantizationError
from serverquant.proto import OperatorDef
from serverquant.proto.args import Arguments
from serverquant.qparams import QParams, choose, dequantize, quantize, quantize_bias
from serverquant.quantization.emit.forms import (
    DECLARED,
    DEMANDS,
    KEEPS,
    MAKERS,
    WIDE,
    WIDES,
    WRITES,
    Emitted,
    Maker,
    Quantized,
    Stays,
    engine_of,
    named,
)
from serverquant.quantization.emit.weights import Weight, by_blocks, least_scales, of_words, pair_room, quantized
from serverquant.quantization.net import LAYERS, POOLS, Net, arguments, operator
from serverquant.quantization.rules import BYTE, Rule
from serverquant.quantization.statistics import Statistics
from serverquant.runtime import registry

WINDOW = ("kernel", "kernels", "kernel_h", "kernel_w", "stride", "strides", "stride_h", "stride_w")
IMAGES = ("Conv", *POOLS, "SpatialBN", "AffineChannel", "GroupNorm", "ChannelShuffle", "ResizeNearest",
          "ConvTranspose", "RoIAlign")  # fmt: skip
WEIGHTED = (*LAYERS, "ConvTranspose")
PASS_ON = ("MaxPool", "ChannelShuffle", "ResizeNearest")  # what they write has the parameters of what they read
NO_WIDE = f"it has no form with more than {BYTE} bits"
WHY = {
    "RoIAlign": "its int8 form is slower than the float one with conversions around it",
    "Softmax": "its int8 form has steps of 1/256, which are too coarse",
}
# Those that end at the largest level of the argument activation_precision. Others end at 255 whatever it says, as in
# Caffe2: layers, sums, norms, the mobile set.
LIMITED = ("Int8Quantize", "Int8Concat", "Int8Mul", "Int8BatchMatMul", "Int8AveragePool", "Int8ElementwiseLinear")
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
        self.stored: dict[str, Quantized] = {}  # int8 blob -> the same levels in the other type
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
        if self.needs_wide(op):
            self._check_wide(kind)
        return MAKERS[kind]

    def _check_wide(self, kind: str) -> None:
        if kind not in WIDES:
            raise Stays(NO_WIDE)
        for type in (WIDES[kind], "Quantize", "Dequantize"):
            if type and registry.operator_class(type, WIDE) is None:
                raise Stays(f"the runtime has no {type} of engine {WIDE}")

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
        self._dequantize(self.int8[name], target)
        if turned:
            self.out.ops.append(operator("NHWC2NCHW", [target], [name]))
        return name

    def as_int8(self, name: str, wide: bool = False) -> Quantized:
        """The int8 form of a blob, of uint16 if wide, made here when there is none yet."""
        found = self.int8.get(name) or self._quantized(name, wide)
        return found if found.wide == wide else self._in_other_type(found)

    def _quantized(self, name: str, wide: bool) -> Quantized:
        if (value := self.net.weight(name)) is not None:
            return self._constant(name, value, wide)
        params, source = self.params(name), name
        if self.is_image(name):
            source = self.net.unique(f"{name}_nhwc")
            self.out.ops.append(operator("NCHW2NHWC", [name], [source]))
        found = self.new(name, params, wide)
        self._quantize(source, found)
        return found

    def _quantize(self, source: str, x: Quantized) -> None:
        type, engine = ("Quantize", WIDE) if x.wide else ("Int8Quantize", None)
        self.add(type, [source], [x.name], engine, **out_arguments(x.params), **levels(x.params))

    def _dequantize(self, x: Quantized, target: str) -> None:
        type, engine = ("Dequantize", WIDE) if x.wide else ("Int8Dequantize", None)
        self.add(type, [x.name], [target], engine)

    def _in_other_type(self, x: Quantized) -> Quantized:
        """The same levels, which 8 bits hold, as uint16 or as uint8: through floats that quantize to them again."""
        if x.name not in self.stored:
            between = self.net.unique(f"{x.name}_between")
            other = replace(x, name=self.net.unique(f"{x.name}_{'narrow' if x.wide else 'wide'}"), wide=not x.wide)
            self._dequantize(x, between)
            self._quantize(between, other)
            self.stored[x.name] = other
        return replace(self.stored[x.name], unflat=x.unflat)

    def _constant(self, name: str, value: np.ndarray, wide: bool) -> Quantized:
        """An activation that the init net makes, quantized there."""
        params = self.params(name)
        turned = value.transpose(0, 2, 3, 1) if self.is_image(name) else value
        found = self.int8[name] = Quantized(self.net.unique(f"{name}_int8"), params, wide=wide)
        self.fill(found.name, quantize(np.ascontiguousarray(turned), params), params, wide)
        return found

    def bits(self, name: str) -> int:
        """Of an activation's int8 form, made or to be made; of a constant one those of what reads it."""
        if name in self.int8:
            return self.int8[name].params.precision
        reads = self.readers.get(name, [])
        rule = self.rules.get(name) or (self.rule(reads[0]) if reads else Rule())
        return rule.activation_bits

    def needs_wide(self, op: OperatorDef) -> bool:
        """Whether what op reads, its weight or what it writes has more than 8 bits."""
        rule, read = self.rule(op), [name for name in op.input if name in self.statistics.blobs]
        if rule.dynamic and op.type == "FC":
            return max(rule.weight_bits, rule.activation_bits) > BYTE
        bits = [self.bits(name) for name in read]
        if op.type in WEIGHTED:
            bits += [rule.weight_bits, self.bits(op.input[0])]
        if not (op.type in KEEPS or (op.type == "FC" and self.is_float(op.output[0]))):
            bits.append(rule.activation_bits)
        return max(bits, default=BYTE) > BYTE

    def wide(self, op: OperatorDef) -> bool:
        """Whether engine WIDE runs the int8 form of op: where it must, and where something that it reads is of uint16
        already, unless it is a layer, which bytes make faster."""
        if self.needs_wide(op):
            return True
        stored = any(name in self.int8 and self.int8[name].wide for name in op.input)
        return stored and bool(WIDES.get(op.type)) and op.type not in LAYERS

    def is_float(self, name: str) -> bool:
        """Whether a blob is only asked for as float: nothing that reads it has an int8 form."""
        readers = self.readers.get(name, [])
        return self.activation(name) is None and not any(self._has_form(reader) for reader in readers)

    def _has_form(self, op: OperatorDef) -> bool:
        rule = self.rule(op)
        if rule.float or (rule.dynamic and op.type == "FC") or (op.type not in WIDES and self.needs_wide(op)):
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

    def only_int8(self, op: OperatorDef, wide: bool = False) -> Quantized:
        """The int8 form of input 0, of uint16 if wide, which is there already; Stays where it is not."""
        if op.input[0] not in self.int8:
            raise Stays("what it reads is not int8")
        self.refuse_flat(op)
        return self.as_int8(op.input[0], wide)

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
            return self._demanded(name) or choose(*ends, rule.activation_bits, rule.symmetric, rule.power_of_two)
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
        if self.rule(reader).float or self.needs_wide(reader):
            return None
        if reader.type in PASS_ON:
            return self._demanded(reader.output[0])
        return DEMANDS[reader.type](self, reader, name) if reader.type in DEMANDS else None

    def new(self, name: str, params: QParams, wide: bool = False) -> Quantized:
        """The int8 form that the next operator writes."""
        found = self.int8[name] = Quantized(self.net.unique(f"{name}_int8"), params, wide=wide)
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
        self.add("Int8Concat", [x.name], [name, split], **out_arguments(params), **levels(params), axis=0)

    def cut(self, op: OperatorDef, params: QParams, output: int = 0) -> None:
        """Cut what an operator of bytes just written gives at the largest level: it ends at 255 by itself."""
        if params.precision < BYTE:
            name = op.output[output]
            op.output[output] = self.net.unique(f"{name}_uncut")
            self._requantize(Quantized(op.output[output], params), params, name)

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
        ends = 0.0, min(params.max, top)
        return after.output[0], choose(*ends, params.precision, power_of_two=power_of_two), after

    def write(
        self,
        op: OperatorDef,
        type: str,
        inputs: list[str],
        order: bool = True,
        fuse: bool = True,
        more: Sequence[str] = (),
        wide: bool = False,
        **args: Any,
    ) -> OperatorDef:
        """An int8 operator for op, fused with the activation behind it. One without a type of its own for that does the
        same: its output's zero point is 0. order: whether it has an argument of that name. more: outputs. wide: the
        type is that of engine WIDE."""
        if order:
            args["order"] = self.layout(op.output[0])
        name, params, after = self.output(op, fuse)
        if after is not None:
            self.done.add(id(after))
            # with Relu in its type an operator makes parameters of its own of others than 8 bits
            known = not wide and params.precision == BYTE and engine_of(f"{type}Relu") == engine_of(type)
            type += "Relu" if known else ""
        made = self.new(name, params, wide).name
        if wide:
            args["engine"] = WIDE
        self.out.quantized[name] = named(type, args.get("engine", ""))
        limited = wide or type in LIMITED
        limits = levels(params) if limited and args.get("engine") != "" else {}  # the mobile set copies what ends there
        written = self.add(type, inputs, [made, *more], **out_arguments(params), **limits, **args)
        if not limited:
            self.cut(written, params)
        return written

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
        """An int8 operator for one output of op that leaves scale and zero point as they are. inputs: besides x. The
        type is that of engine WIDE where x is wide."""
        name = op.output[output]
        made = self.new(name, x.params, x.wide).name
        given = {"engine": WIDE} if x.wide else out_arguments(x.params)
        self.out.quantized[name] = named(type, given.get("engine", ""))
        self.add(type, [x.name, *inputs], [made, *more], **given, **args)

    def write_requantized(self, op: OperatorDef, x: Quantized, params: QParams) -> None:
        """For an op that does nothing but to saturate at the ends of these parameters."""
        name = op.output[0]
        self.out.quantized[name] = "Int8Concat"
        self._requantize(x, params, self.new(name, params).name)

    # ---- weights --------------------------------------------------------------------------------------------------

    def weight(
        self,
        op: OperatorDef,
        name: str,
        value: np.ndarray,
        sx: float,
        blocks: int = 1,
        pair_safe: bool = False,
        most: int = 255,
    ) -> Weight:
        """The int8 weight of a layer, output channels first where it has several blocks.

        sx: scale of the layer's input, infinite where its bias is float for good. blocks: so many equal runs of outputs
        get scales of their own. pair_safe: its scale is widened until no pair of products saturates, see `widened`.
        most: the largest level of the layer's input.
        """
        self._check_finite(name, value)
        rule, room = self.rule(op), pair_room(most) if pair_safe or self.pair_safe else None
        least = least_scales(self._bias(op, len(value))[1], sx, blocks) if blocks > 1 else None
        how = rule.weights, rule.weight_bits, blocks
        key = name, value.shape, room, how, least is not None and least.tobytes()
        if key not in self.weights:
            scales: tuple[float, ...] = ()
            if least is not None:
                stored, params, scales = by_blocks(value, rule, least, room)
            else:
                stored, params = quantized(value, rule, room)
            blob = self.net.unique(f"{name}_int8")
            self.fill(blob, stored, params)
            self.weights[key] = Weight(blob, params.scale, rule.weight_bits, scales)
        return self._told(op, self.weights[key])

    def wide_weight(self, op: OperatorDef, name: str, value: np.ndarray, x: QParams | None, has_bias: bool) -> Weight:
        """The weight of a layer of engine WIDE, output channels first. x: parameters of its input, None of one that is
        quantized while running. has_bias: its bias is of the unit of its products."""
        self._check_finite(name, value)
        rule = self.rule(op)
        bias = self._bias(op, len(value))[1].reshape(-1) if has_bias else np.zeros(len(value), np.float32)
        stored, params = of_words(value, rule, x or QParams(1.0, 0, rule.activation_bits), bias, centred=x is not None)
        blob = self.net.unique(f"{name}_int8")
        self.fill(blob, stored, params, wide=True)
        return self._told(op, Weight(blob, params.scale, rule.weight_bits, wide=True))

    def _check_finite(self, name: str, value: np.ndarray) -> None:
        if not np.isfinite(value).all():
            raise Stays(f'the weight "{name}" is not finite')

    def _told(self, op: OperatorDef, weight: Weight) -> Weight:
        self.out.weights[op.output[0]] = {"bits": weight.bits, "scale": weight.scale}
        return weight

    def fill(self, blob: str, stored: np.ndarray, params: QParams, wide: bool = False) -> None:
        """The init net makes an Int8 blob of these integers. No fill makes one of uint16: Quantize does, of floats that
        give them."""
        given = {"shape": stored.shape, **out_arguments(params)}
        if not wide:
            self.out.init_ops.append(operator("Int8GivenTensorFill", [], [blob], values=stored.tobytes(), **given))
            return
        source, values = self.net.unique(f"{blob}_values"), dequantize(stored, params).reshape(-1)
        self.out.init_ops.append(operator("GivenTensorFill", [], [source], shape=stored.shape, values=values))
        made = operator("Quantize", [source], [blob], WIDE, **out_arguments(params), **levels(params))
        self.out.init_ops.append(made)

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


def levels(params: QParams) -> dict[str, Any]:
    """The argument for other bits than 8."""
    return {} if params.precision == BYTE else {"activation_precision": params.precision}


def copied(args: Arguments, allowed: tuple[str, ...]) -> dict[str, Any]:
    """The arguments that the int8 form takes over; Stays when there are others."""
    for name in args.names():
        if name not in allowed and name not in IGNORED:
            raise Stays(f"its argument {name} has no int8 form")
    return {name: args.value(name) for name in args.names() if name in allowed}
