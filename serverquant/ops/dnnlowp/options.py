"""Arguments that all operators of engine DNNLOWP read, and the parameters of their outputs that follow from them.

Where a net does not give one of them, a global option of Caffe2's name may (runtime/options.py).

An operator's schema lists `*ARGS` (with `*OUTPUT_ARGS` if its output can have parameters of its own); its `setup` calls
`read_options(self, relu=...)`. `Options.output` then holds the static output parameters, or None: they are to be chosen
from the range of what the float operator gives (`Options.choose_output`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from serverquant._base.errors import ArgumentError, QuantizationError
from serverquant.qparams import DEFAULTS, Defaults, QParams, choose, relu_params
from serverquant.runtime.options import options as flags
from serverquant.runtime.schema import Arg

if TYPE_CHECKING:
    from serverquant.runtime.operator import Operator

OUTPUT_ARGS = [
    Arg("Y_scale", "float", None, "scale of the output; without it the output's parameters are chosen while running"),
    Arg("Y_zero_point", "int", 0, "zero point of the output, read when Y_scale is given"),
]
ARGS = [
    Arg("activation_precision", "int", 8, "bits of activations"),
    Arg("weight_precision", "int", 8, "bits of weights that the operator quantizes itself"),
    Arg("requantization_multiplier_precision", "int", 32, "bits of a fixed-point multiplier: GroupNorm's alone"),
    Arg("eltwise_quantization_precision", "int", 16, "bits of the intermediate parameters of sums"),
    Arg("preserve_activation_sparsity", "bool", False, "symmetric parameters for activations"),
    Arg("preserve_weight_sparsity", "bool", False, "symmetric parameters for weights"),
    Arg("force_scale_power_of_two", "bool", False, "round chosen scales up to powers of two"),
    Arg("activation_quantization_kind", "string", "min_max", "has no effect: activations always use min_max"),
    Arg("weight_quantization_kind", "string", "min_max", "min_max, l1, l2, l2_approx, kl or p99"),
    Arg("dequantize_output", "bool", False, "give the output as a float tensor"),
    Arg("measure_quantization_error", "bool", False, "no effect on results"),
    Arg("followed_by", "string", "", "Relu, Sigmoid or Tanh: the operator behind this one; decides output parameters"),
]

# Of layers.
WEIGHT_SCALES = Arg(
    "weight_scales",
    "floats",
    [],
    "DNNLOWP: for each output a scale of its Int8 weights, instead of the blob's one (ours: Caffe2 does not know it)",
)

KINDS = ("min_max", "l1", "l2", "l2_approx", "kl", "p99")
# Arguments that a global option stands in for where the net does not give them; see runtime/options.py.
_FLAGS = {
    "activation_precision": "caffe2_dnnlowp_activation_quantization_precision",
    "weight_precision": "caffe2_dnnlowp_weight_quantization_precision",
    "eltwise_quantization_precision": "caffe2_dnnlowp_eltwise_quantization_precision",
    "requantization_multiplier_precision": "caffe2_dnnlowp_requantization_multiplier_precision",
    "preserve_activation_sparsity": "caffe2_dnnlowp_preserve_activation_sparsity",
    "preserve_weight_sparsity": "caffe2_dnnlowp_preserve_weight_sparsity",
    "force_scale_power_of_two": "caffe2_dnnlowp_force_scale_power_of_two",
    "weight_quantization_kind": "caffe2_dnnlowp_weight_quantization_kind",
}
# Caffe2's long names of the kinds.
_LONG_KINDS = {
    "min_max_quantization": "min_max",
    "l1_min_quantization": "l1",
    "l2_min_quantization": "l2",
    "l2_min_quantization_approx": "l2_approx",
    "kl_min_quantization": "kl",
    "p99_quantization": "p99",
}
# Sigmoid and Tanh run by tables that take nothing but these parameters.
SIGMOID_INPUT = QParams(float(np.float32(6 / 127)), 128)
TANH_INPUT = QParams(float(np.float32(3 / 127)), 128)


@dataclass(frozen=True)
class Options:
    """The common arguments of one operator.

    activation_precision, weight_precision, eltwise_precision: bits. symmetric_activations, symmetric_weights,
    power_of_two: how parameters are chosen. weight_kind: one of KINDS. dequantize_output: the output is float.
    relu: negative outputs become 0, in the operator or behind it. output: static parameters of the output, or None.
    defaults: what kinds other than min_max take from global options whatever the operator says. weight_scales: of the
    rows of Int8 weights, where they have scales of their own.
    """

    activation_precision: int
    weight_precision: int
    eltwise_precision: int
    symmetric_activations: bool
    symmetric_weights: bool
    power_of_two: bool
    weight_kind: str
    dequantize_output: bool
    relu: bool
    output: QParams | None
    defaults: Defaults = DEFAULTS
    weight_scales: tuple[float, ...] = ()

    @property
    def weight_choice(self) -> tuple[str, int, bool, bool, Defaults]:
        """How float weights get their parameters: the arguments of `qparams.choose_weight` behind the values."""
        symmetric, power_of_two = self.symmetric_weights, self.power_of_two
        return self.weight_kind, self.weight_precision, symmetric, power_of_two, self.defaults

    def with_kind(self, kind: str) -> Options:
        """The same with another kind of weight quantization."""
        return replace(self, weight_kind=kind)

    def choose(self, lo: float, hi: float) -> QParams:
        """Parameters of an activation whose values span [lo, hi]."""
        return choose(lo, hi, self.activation_precision, self.symmetric_activations, self.power_of_two)

    def choose_output(self, lo: float, hi: float) -> QParams:
        """Dynamic parameters of the output, which spans [lo, hi] before its Relu."""
        return self.choose(max(lo, 0.0), max(hi, 0.0)) if self.relu else self.choose(lo, hi)


# What applies to operators without these arguments.
PLAIN = Options(8, 8, 16, False, False, False, "min_max", False, False, None)


def read_options(op: Operator, relu: bool = False, most_bits: int = 8) -> Options:
    """The common arguments of `op`, whose type has a Relu of its own if `relu`. most_bits: of activations and weights.

    Raises ArgumentError or QuantizationError for what makes no sense.
    """
    relu = relu or op.args.followed_by == "Relu"
    return Options(
        activation_precision=_bits(op, "activation_precision", most_bits),
        weight_precision=_bits(op, "weight_precision", most_bits),
        eltwise_precision=_bits(op, "eltwise_quantization_precision", 30),
        symmetric_activations=_value(op, "preserve_activation_sparsity"),
        symmetric_weights=_value(op, "preserve_weight_sparsity"),
        power_of_two=_value(op, "force_scale_power_of_two"),
        weight_kind=_kind(op),
        dequantize_output=op.args.dequantize_output,
        relu=relu,
        output=_static_output(op, relu, most_bits),
        defaults=Defaults(
            flags.caffe2_dnnlowp_activation_quantization_precision,
            flags.caffe2_dnnlowp_preserve_activation_sparsity,
            flags.caffe2_dnnlowp_force_scale_power_of_two,
            flags.caffe2_dnnlowp_activation_p99_threshold,
        ),
        weight_scales=_weight_scales(op),
    )


def _value(op: Operator, name: str) -> Any:
    """An argument, or where the net does not give it the global option that stands in for it."""
    return getattr(op.args, name) if op.given(name) else getattr(flags, _FLAGS[name])


def _source(op: Operator, name: str) -> str:
    """Where `_value` comes from, for messages."""
    return f"argument {name}" if op.given(name) else f"option {_FLAGS[name]}"


def _bits(op: Operator, name: str, most: int) -> int:
    bits = _value(op, name)
    if not 2 <= bits <= most:
        raise ArgumentError(f"{_source(op, name)} is {bits}; it must be 2 to {most} bits")
    return int(bits)


def _weight_scales(op: Operator) -> tuple[float, ...]:
    scales = tuple(float(np.float32(scale)) for scale in getattr(op.args, WEIGHT_SCALES.name, ()))
    for i, scale in enumerate(scales):
        if not 0 < scale < np.inf:
            raise ArgumentError(f"argument weight_scales[{i}] must be a positive finite number, not {scale}")
    return scales


def multiplier_bits(op: Operator) -> int:
    """Bits of a fixed-point multiplier."""
    return _bits(op, "requantization_multiplier_precision", 32)


def _kind(op: Operator) -> str:
    name = "weight_quantization_kind"
    return read_kind(_source(op, name), _value(op, name))


def read_kind(source: str, text: str) -> str:
    """The kind of quantization that a text means; ArgumentError, naming its source, if it means none."""
    kind = _LONG_KINDS.get(text.lower(), text.lower())
    if kind not in KINDS:
        raise ArgumentError(f'{source} is "{text}"; it must be one of {", ".join(KINDS)}')
    return kind


def _static_output(op: Operator, relu: bool, most_bits: int) -> QParams | None:
    """Parameters that the arguments fix. A table behind the operator outranks Y_scale; a Relu folds its range."""
    args = op.args
    if args.followed_by in ("Sigmoid", "Tanh"):
        return SIGMOID_INPUT if args.followed_by == "Sigmoid" else TANH_INPUT
    given = static_params(op, "Y", _bits(op, "activation_precision", most_bits))
    if given is None or not relu:
        return given
    symmetric, power_of_two = _value(op, "preserve_activation_sparsity"), _value(op, "force_scale_power_of_two")
    return relu_params(given, symmetric, power_of_two)


def static_params(op: Operator, prefix: str, precision: int) -> QParams | None:
    """Parameters of so many bits from the arguments <prefix>_scale and <prefix>_zero_point; None without a scale."""
    scale = getattr(op.args, f"{prefix}_scale", None)
    if scale is None:
        return None
    zero_point = getattr(op.args, f"{prefix}_zero_point") or 0
    if not (scale > 0 and np.isfinite(np.float32(scale))):
        raise QuantizationError(f"argument {prefix}_scale must be a positive finite number, not {scale}")
    most = (1 << max(precision, 8)) - 1
    if not 0 <= zero_point <= most:
        raise QuantizationError(f"argument {prefix}_zero_point must be 0 to {most}, not {zero_point}")
    return QParams(float(np.float32(scale)), zero_point, precision)


def mobile_output(op: Operator) -> QParams:
    """Output parameters of a mobile operator: its arguments, or 1 and 0 without them."""
    return static_params(op, "Y", 8) or QParams(1.0, 0)
