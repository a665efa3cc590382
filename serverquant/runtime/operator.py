"""The base of all operators, and operators whose body is Python.

Life of an operator: made from its definition (arguments read, an engine may decline), then for every shape signature
`infer` (output specs) and `plan` (a Step); a native step asks for `prepare` when weights have to be packed.
"""

from __future__ import annotations

import copy
import difflib
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from serverquant._base.errors import DTypeError, NetError, OperatorError, ServerquantError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob, check_shape
from serverquant.blobs.spec import EMPTY, INT8, OBJECT, TENSOR, Spec
from serverquant.blobs.store import Int8
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.schema import MANY, Arg, Schema


class Decline(Exception):
    """Raised by an operator's constructor: this engine does not take this case."""


@dataclass
class Definition:
    """One operator of a net, read once. `arguments` is the reader of proto/args.py."""

    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    arguments: Any
    engine: str = ""
    name: str = ""
    index: int = 0
    net: str = ""
    control_inputs: tuple[str, ...] = ()
    message: Any = field(default=None, repr=False)
    fix_defects: bool = False  # compute what Caffe2 should, not what it does
    store: Any = field(default=None, repr=False)  # the blobs that the net runs on

    @property
    def place(self) -> str:
        """How errors name the operator."""
        return place_of(self.type, self.name, self.index, self.net)


def place_of(op_type: str, name: str, index: int, net: str) -> str:
    """How errors name an operator."""
    called = f' "{name}"' if name else ""
    return f'{op_type}{called} (op {index} of net "{net}")'


_warned: set[tuple[str, str]] = set()
# Written into every operator by exporters, whether it has a use for it or not.
_EVERYWHERE = {"order", "use_cudnn", "cudnn_exhaustive_search", "ws_nbytes_limit"}


def _warn_unknown(definition: Definition, schema: Schema) -> None:
    for name in definition.arguments.names():
        if name in schema.args or name in _EVERYWHERE or (definition.type, name) in _warned:
            continue
        _warned.add((definition.type, name))
        near = difflib.get_close_matches(name, list(schema.args), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        warnings.warn(f"{definition.place}: argument {name} is not known and ignored{hint}", stacklevel=6)


class Operator:
    """Base class. Subclasses read `self.args` (declared arguments by name) and implement `plan`.

    takes: what inputs may be: "float", "int8" (an Int8 tensor of uint8; "int8:int32" is one of int32), "object", a data
        type's name ("tensor:int8" for the plain one), several with "|" between them, or "any"; one text for all, or one
        for each input.
    packs: inputs that run() reads in the form that `prepare` packed, never the blob's own values.
    by_name: whether it may read or write blobs of the store that are no inputs or outputs of it.
    named_inputs: whether it looks its inputs up in the store, by name.
    tells: where it writes an object, the data type of the one element that Caffe2 infers for it; 0: none.
    any_inputs: inputs may be empty when it is planned, and their shapes are none of the plan's business (operators that
        run nets: what they read is up to those).
    """

    takes: str | tuple[str, ...] = "any"
    packs: tuple[int, ...] = ()
    tells: int = 0
    by_name: bool = False
    named_inputs: bool = False
    any_inputs: bool = False

    def __init__(self, definition: Definition, schema: Schema):
        self.definition, self.schema = definition, schema
        self.inputs, self.outputs = definition.inputs, definition.outputs
        self.type, self.place = definition.type, definition.place
        self.engine = ""
        self.refused: list[tuple[str, str]] = []
        self.effects = schema.effects  # `setup` may know better
        self.args = SimpleNamespace(**schema.read(definition.arguments))
        if not schema.takes_anything:
            _warn_unknown(definition, schema)
        self.setup()

    def setup(self) -> None:
        """Read and check the arguments; raise Decline if this engine does not take the case."""

    def attach(self) -> None:
        """Called once all blobs of the net are there: make what runs on them, such as nets inside this operator."""

    def given(self, name: str) -> bool:
        """Whether the net sets this argument."""
        return self.definition.arguments.has(name)

    # ---- planning -------------------------------------------------------------------------------------------------

    def infer(self, ins: list[Spec]) -> list[Spec] | None:
        """Specs of the outputs; None when they depend on values."""
        dims = self.schema.shape(self, ins) if self.schema.shape else None
        if dims is None:
            return None
        if len(dims) < len(self.outputs):
            raise NetError(f"{self.type} has {len(self.outputs)} outputs, but with these inputs it makes {len(dims)}")
        return [Spec(tuple(d), *self.output_type(ins, i)) for i, d in zip(range(len(self.outputs)), dims)]

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        """(dtype, kind) of output i: those of input 0 unless overridden."""
        return (ins[0].dtype, ins[0].kind) if ins else (dtypes.FLOAT, TENSOR)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        """The step for these shapes."""
        raise NotImplementedError

    def plan_late(self, ins: list[Spec], outs: list[Spec]) -> Step:
        """The step when `infer` said None. An operator whose steps need shapes returns `late_step(self)`."""
        return self.plan(ins, outs)

    def absorb(self, other: Operator) -> Operator | None:
        """An operator that does the work of both, where `other` alone reads this one's output and runs right behind it;
        None if there is none. It writes the same bytes."""
        return None

    def taking(self, other: Operator, **changed: Any) -> Operator:
        """For `absorb`: this operator with `other`'s output and some attributes changed."""
        whole = copy.copy(self)
        whole.outputs = other.outputs
        for name, value in changed.items():
            setattr(whole, name, value)
        return whole

    # ---- checks ---------------------------------------------------------------------------------------------------

    def check_types(self, ins: list[Spec]) -> None:
        """DTypeError unless the inputs are what the operator takes."""
        for i in range(len(ins)):
            if self.taken(i) != "any":
                self.expect(ins, i, *self.taken(i).split("|"))

    def taken(self, i: int) -> str:
        """What input i may be, in the words of `takes`."""
        return self.takes if isinstance(self.takes, str) else self.takes[min(i, len(self.takes) - 1)]

    def expect(self, ins: list[Spec], i: int, *kinds: str) -> None:
        """DTypeError unless input i is one of these words of `takes`."""
        if _word(ins[i]) not in kinds:
            want = " or ".join(map(_word_text, kinds))
            raise DTypeError(f"{self.input_text(ins, i)} cannot be used; expected {want}")

    def check_outputs(self, ins: list[Spec], outs: list[Spec]) -> None:
        """ShapeError for an output that no memory can hold, or that makes a blob grow while it is being read."""
        for i, (name, out) in enumerate(zip(self.outputs, outs)):
            try:
                check_shape(out)
            except ShapeError as error:
                raise ShapeError(f'output {i} "{name}": {error.message}') from error
            for j, read in enumerate(self.inputs):
                if read == name and out.nbytes > ins[j].nbytes:
                    raise self.shape_error(ins, j, f"no less than output {i} ({out!r}), which is the same blob")

    def input_text(self, ins: list[Spec], i: int) -> str:
        """'input 0 "X" (float 2x3)' for messages."""
        return f'input {i} "{self.inputs[i]}" ({ins[i]!r})'

    def shape_error(self, ins: list[Spec], i: int, expected: str) -> ShapeError:
        return ShapeError(f"{self.input_text(ins, i)}: expected {expected}")

    def __repr__(self) -> str:
        engine = f" [{self.engine}]" if self.engine else ""
        return f"<{self.place}{engine}: {', '.join(self.inputs)} -> {', '.join(self.outputs)}>"


def _word(spec: Spec) -> str:
    """The word of Operator.takes for what a blob holds."""
    name = dtypes.name(spec.dtype)
    if spec.kind == INT8:
        return "int8" if spec.dtype == dtypes.UINT8 else f"int8:{name}"
    if spec.kind != TENSOR:
        return "object"
    return name if spec.dtype != dtypes.INT8 else "tensor:int8"


def _word_text(word: str) -> str:
    if word == "int8":
        return "an Int8 tensor of uint8"
    if word.startswith("int8:"):
        return f"an Int8 tensor of {word[5:]}"
    if word.startswith("tensor:"):
        return f"a tensor of {word[7:]}"
    return {"float": "a float tensor", "object": "packed weights"}.get(word, f"a tensor of {word}")


class PythonOperator(Operator):
    """An operator with a Python body: implement `run(inputs, outputs)`.

    inputs: numpy arrays over the blobs' own memory (do not write to them), `Int8` for Int8 tensors, objects as such.
    outputs: one item for each output, to be filled or replaced: an array to be written where the shape rule gave a
    shape (an `Int8` whose data is to be written, for an Int8 tensor), else None. What is put in its place (an array, an
    `Int8`, strings) is copied into the blob.
    """

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        raise NotImplementedError

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        """Run on blobs; an exception becomes an OperatorError with the exception as its cause."""
        ins = [_read(blob) for blob in inputs]
        outs = [_target(blob) for blob in outputs]
        given = list(outs)
        try:
            self.run(ins, outs)
            for i, (blob, old, new) in enumerate(zip(outputs, given, outs)):
                if isinstance(old, Int8) and isinstance(new, Int8) and new.data is old.data:
                    blob.set_qparams(new.scale, new.zero_point)
                elif new is not old:
                    _put(blob, new)
                elif new is None:
                    raise OperatorError(f'output {i} "{self.outputs[i]}" was not set: put an array into outputs[{i}]')
        except ServerquantError:
            raise
        except Exception as error:
            raise OperatorError.of(error) from error


def _read(blob: Blob) -> Any:
    if blob.kind == OBJECT:
        return blob.value
    value = blob.view()
    return Int8(value, np.float32(blob.scale), blob.zero_point) if blob.kind == INT8 else value


def _put(blob: Blob, value: Any) -> None:
    """Feed what is a tensor, or can be made one; keep any other object as it is."""
    if hasattr(value, "__array__") or isinstance(value, (Int8, list, tuple, bool, int, float, complex, str, bytes)):
        blob.feed(value)
    else:
        blob.feed_object(value)


def _target(blob: Blob) -> Any:
    if blob.kind in (EMPTY, OBJECT) or blob.spec().dtype == dtypes.STRING:
        return None
    return _read(blob)


_ARG_KINDS = {bool: "bool", int: "int", float: "float", str: "string", bytes: "bytes", list: "floats", tuple: "ints"}


def function_operator(function: Callable[..., Any], rules: dict[str, Any]) -> type[PythonOperator]:
    """An operator class around a function: inputs are positional; a net's arguments go to parameters with defaults,
    read as what the default is (bool, int, float, str, bytes; a list means floats, a tuple integers)."""
    parameters = inspect.signature(function).parameters.values()
    keywords = [p for p in parameters if p.default is not p.empty]
    arguments = [Arg(p.name, _ARG_KINDS.get(type(p.default), "float"), p.default) for p in keywords]

    class FunctionOperator(PythonOperator):
        def run(self, inputs: list[Any], outputs: list[Any]) -> None:
            result = function(*inputs, **vars(self.args))
            several = isinstance(result, (list, tuple)) and not isinstance(result, Int8)
            results: Sequence[Any] = result if several else [result]
            if len(results) != len(outputs):
                raise OperatorError(f"{function.__name__} returned {len(results)} values for {len(outputs)} outputs")
            outputs[:] = results

    FunctionOperator.__name__ = FunctionOperator.__qualname__ = function.__name__
    FunctionOperator.__module__, FunctionOperator.__doc__ = function.__module__, function.__doc__
    positional = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    many = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    rules.setdefault("inputs", (len(positional), MANY if many else len(positional)))
    rules.setdefault("args", arguments)
    return FunctionOperator
