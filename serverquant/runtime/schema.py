"""What an operator type is: counts, arguments, in-place pairs, shapes. Said once, whatever the engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from serverquant._base.errors import ArgumentError, NetError

Dims = tuple[int, ...]
# (operator, input specs) -> dims of every output, or None when they depend on values that are not known yet
ShapeRule = Callable[[Any, list], "Sequence[Dims] | None"]
MANY = 1 << 30


@dataclass(frozen=True)
class Arg:
    """An argument: `kind` is int, float, bool, string, bytes, ints, floats, strings, net, tensor or payload (the
    operator reads it itself). Without a default it is None when missing."""

    name: str
    kind: str
    default: Any = None
    doc: str = ""


class Schema:
    """Counts, arguments and rules of some operator types that share them.

    types: every type that this schema is of.
    inputs, outputs: a number, or (least, most); MANY for no limit.
    inplace: (input, output) pairs that may be one blob; "any" permits all.
    args: `Arg`s; anything else in a net is ignored with one warning. None: the operator reads its arguments itself.
    shape: rule for the outputs' dims from the inputs' specs; None: known only after running.
    values: rule (operator, input specs) -> array, or a list of arrays for several outputs, when the outputs' values are
        known while planning; else None.
    effects: True for types that do more than compute their outputs from their inputs and arguments (random numbers,
        counters, files, messages, checks): never computed ahead or left out, and in order among themselves. None: not
        known.
    int8: the type that computes the same on Int8 tensors, which `serverquant.quantize` puts in its place: every float
        value among inputs and outputs becomes an Int8 tensor, constants and other types stay. It takes the arguments of
        this type, and those of its output: Y_scale and Y_zero_point, Y2_scale and Y2_zero_point of the second, and so
        on; order is NHWC where images have been turned.
    in_doc, out_doc: names and meanings of inputs and outputs, "X: ..." each.
    """

    def __init__(
        self,
        *types: str,
        inputs: int | tuple[int, int],
        outputs: int | tuple[int, int] = 1,
        inplace: Sequence[tuple[int, int]] | str = (),
        args: Sequence[Arg] | None = (),
        shape: ShapeRule | None = None,
        values: Callable[[Any, list], Any] | None = None,
        effects: bool | None = False,
        int8: str = "",
        doc: str = "",
        in_doc: Sequence[str] = (),
        out_doc: Sequence[str] = (),
    ):
        self.types = types
        self.inputs = inputs if isinstance(inputs, tuple) else (inputs, inputs)
        self.outputs = outputs if isinstance(outputs, tuple) else (outputs, outputs)
        self.inplace = inplace
        self.args = {a.name: a for a in args or ()}
        self.takes_anything = args is None
        self.shape, self.values = shape, values
        self.effects = effects
        self.int8 = int8
        self.doc, self.in_doc, self.out_doc = doc, tuple(in_doc), tuple(out_doc)

    def allows_inplace(self, i: int, j: int) -> bool:
        return self.inplace == "any" or (i, j) in self.inplace

    def check(self, op_type: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """NetError unless counts and uses of one blob in several places are allowed."""
        for what, names, (least, most) in (("input", inputs, self.inputs), ("output", outputs, self.outputs)):
            if not least <= len(names) <= most:
                many = f"{least}" if least == most else f"{least} or more" if most == MANY else f"{least} to {most}"
                plural = "" if many == "1" else "s"
                raise NetError(f"{op_type} takes {many} {what}{plural}, not {len(names)}: {list(names)}")
        for j, name in enumerate(outputs):
            if name in outputs[:j]:
                first = outputs.index(name)
                raise NetError(f'outputs {first} and {j} are one blob, "{name}"; give each a name of its own')
        for i, name in enumerate(inputs):
            for j, out in enumerate(outputs):
                if name == out and not self.allows_inplace(i, j):
                    raise NetError(
                        f'output {j} may not be the blob of input {i} ("{name}"): {op_type} does not work in place; '
                        "give the output a name of its own"
                    )

    def read(self, arguments: Any) -> dict[str, Any]:
        """Values of all declared arguments; ArgumentError for one in the wrong field."""
        read = {}
        for name, arg in self.args.items():
            if arg.kind == "payload":
                continue
            read[name] = getattr(arguments, arg.kind)(name, arg.default) if arguments.has(name) else arg.default
        return read


def same_as_first(op: Any, ins: list) -> Sequence[Dims]:
    """Shape rule: every output has input 0's shape."""
    return [ins[0].dims] * len(op.outputs)


def values_that_follow(ins: list) -> list[Any] | None:
    """The inputs' values, if one follows from shapes and the others are at hand. Arithmetic on data alone is left to
    the run: planning it would make a new plan for all new data."""
    if not any(spec.follows for spec in ins):
        return None
    values = [spec.value for spec in ins]
    return None if any(v is None for v in values) else values


def axis_of(axis: int, ndim: int, name: str = "axis", extra: int = 0) -> int:
    """A canonical axis from one that may count from the end; `extra` = 1 also admits ndim itself."""
    if not -ndim <= axis < ndim + extra:
        raise ArgumentError(f"argument {name} is {axis}, which a tensor of {ndim} dimensions does not have")
    return axis + ndim if axis < 0 else axis
