"""Output parameters of DNNLOWP operators from the files that Caffe2's observers wrote while a float net ran."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from serverquant._base.errors import MachineError, QuantizationError
from serverquant.ops.dnnlowp.options import read_kind
from serverquant.proto import NetDef, OperatorDef
from serverquant.proto.args import Arguments, make_argument
from serverquant.qparams import Defaults, QParams, choose, choose_from_histogram
from serverquant.quantization.caffe2_files import Line, read, save
from serverquant.runtime import registry
from serverquant.runtime.options import options

f32 = np.float32
_FLAGS = (
    "activation_quantization_precision",
    "weight_quantization_precision",
    "preserve_activation_sparsity",
    "preserve_weight_sparsity",
    "force_scale_power_of_two",
    "activation_quantization_kind",
    "weight_quantization_kind",
    "activation_p99_threshold",
    "weight_p99_threshold",
)


class Statistics(NamedTuple):
    """Lines of a file: of histograms, or else of ranges alone. path: for messages."""

    path: str
    lines: dict[tuple[int, int], Line]

    @classmethod
    def read(cls, path: Any, histograms: bool) -> Statistics:
        """MachineError, ParseError or QuantizationError unless the file is there and of that kind."""
        try:
            lines = read(path)
        except OSError as error:
            raise MachineError(f"{os.fspath(path)} cannot be read: {error.strerror}") from error
        if not lines or any((line.counts is not None) != histograms for line in lines):
            kinds = {True: "histograms", False: "ranges (min and max)"}
            raise QuantizationError(f"{os.fspath(path)} is no file of {kinds[histograms]}")
        return cls(os.fspath(path), {(line.operator, line.output): line for line in lines})

    def of(self, net: NetDef) -> Iterator[tuple[int, int, Line]]:
        """(operator, output, line) for the net's outputs. QuantizationError when one of a DNNLOWP operator has none."""
        for index, op in enumerate(net.op):
            for i, name in enumerate(op.output):
                line = self.lines.get((index, i))
                if line is not None and line.blob == name:
                    yield index, i, line
                elif is_dnnlowp(op):
                    found = f'"{line.blob}"' if line else "nothing"
                    raise QuantizationError(
                        f'operator {index} of net "{net.name}" writes "{name}" as output {i}, where {self.path} has '
                        f"{found}: it belongs to another net"
                    )


def is_dnnlowp(op: OperatorDef) -> bool:
    return str(op.engine).startswith("DNNLOWP")


def choose_params(op: OperatorDef, line: Line, is_weight: bool = False) -> QParams:
    """As the operator's arguments, and global options in their place, say for activations, or for weights. A kind other
    than min_max needs a histogram."""
    arguments, what = Arguments(op), "weight" if is_weight else "activation"
    flags = {name: getattr(options, f"caffe2_dnnlowp_{name}") for name in _FLAGS}
    precision = arguments.int(f"{what}_precision", flags[f"{what}_quantization_precision"])
    symmetric = arguments.bool(f"preserve_{what}_sparsity", flags[f"preserve_{what}_sparsity"])
    power_of_two = arguments.bool("force_scale_power_of_two", flags["force_scale_power_of_two"])
    kind_name = f"{what}_quantization_kind"
    kind = read_kind(f"argument {kind_name}", arguments.string(kind_name, flags[kind_name]))
    if line.counts is None or kind == "min_max":
        return choose(line.lo, line.hi, precision, symmetric, power_of_two)
    defaults = Defaults(
        flags["activation_quantization_precision"],
        flags["preserve_activation_sparsity"],
        flags["force_scale_power_of_two"],
        flags[f"{what}_p99_threshold"],
    )
    return choose_from_histogram(line.histogram(), kind, precision, symmetric, defaults)


def _registered(op: OperatorDef, line: Line, is_weight: bool) -> QParams:
    """An output that never changed, or was never seen, gets steps of 0.1 that have its value among them, if any do."""
    if line.hi > line.lo:
        return choose_params(op, line, is_weight)
    step = f32(0.1)
    with np.errstate(over="ignore"):
        zero_point = -f32(line.lo) / step
    return QParams(float(step), int(np.clip(zero_point, 0, 255)) if np.isfinite(zero_point) else 0)


def register(net: Any, statistics: Statistics, is_weight: bool, output: Any = "") -> None:
    """Give the DNNLOWP operators of a net that was created parameters of their outputs, in the place of any that they
    have. output: a file for what was chosen, "" for none. A net that has no such operator is left alone."""
    found = list(statistics.of(net.proto))
    params = {(i, j): _registered(net.proto.op[i], line, is_weight) for i, j, line in found}
    changed = NetDef()
    changed.CopyFrom(net.proto)
    for (index, output_index), chosen in params.items():
        op = changed.op[index]
        if is_dnnlowp(op) and f"{_prefix(output_index)}_scale" in registry.schema(op.type).args:
            set_params(op, output_index, chosen)
    messages = {i: op for i, op in enumerate(changed.op) if op != net.proto.op[i]}
    if messages:
        net.redefine(messages)
    if output and found:
        save(output, (_line(line, params[i, j]) for i, j, line in found))


def add_arguments(net: NetDef, statistics: Statistics) -> None:
    """Write the parameters of first outputs into the net's DNNLOWP operators, but for those that give floats."""
    for index, i, line in statistics.of(net):
        op = net.op[index]
        if i == 0 and is_dnnlowp(op) and not Arguments(op).int("dequantize_output", 0):
            set_params(op, 0, choose_params(op, line))


def _prefix(output: int) -> str:
    return f"Y{output + 1}" if output else "Y"


def set_params(op: OperatorDef, output: int, params: QParams) -> None:
    """Set the arguments that hold the parameters of an output."""
    prefix = _prefix(output)
    names = f"{prefix}_scale", f"{prefix}_zero_point"
    kept = [argument for argument in op.arg if argument.name not in names]
    made = [make_argument(names[0], float(params.scale)), make_argument(names[1], params.zero_point)]
    del op.arg[:]
    op.arg.extend([*kept, *made])


def _line(line: Line, params: QParams) -> str:
    """The first words as in the file of statistics, then the range that can be stood for, and the parameters."""
    place = f"{line.operator} {line.type} {line.output} {line.blob}"
    return f"{place} {params.min:g} {params.max:g} {params.scale:g} {params.zero_point} {params.precision}"
