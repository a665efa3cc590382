"""A float net on the workbench: its operators and weights, as the passes change them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from serverquant._base.errors import NetError, QuantizationError
from serverquant.predictor import Predictor
from serverquant.proto import NetDef, OperatorDef
from serverquant.proto.args import Arguments, make_argument
from serverquant.proto.io import load_net

LAYERS = ("Conv", "FC")  # int8 whatever they read, if their weights are constant
FUSING = (*LAYERS, "Sum", "Add")  # whose int8 form does the activation behind it too
POOLS = ("MaxPool", "AveragePool")
PADS = ("pad", "pads", "pad_t", "pad_l", "pad_b", "pad_r")  # arguments of a window


class Net:
    """init, predict: any source of a NetDef; they stay as they are.

    ops: OperatorDefs in order, copies. inputs, outputs: the net's. kept: names that must go on existing under their
    name: outputs, and what nets within operators (If, While) use.
    """

    def __init__(self, init: Any, predict: Any):
        self._source = init
        found = load_net(predict)
        with Predictor(init, found, keep_blobs=True) as predictor:
            self.inputs: list[str] = predictor.inputs
            self.outputs: list[str] = predictor.outputs
            fetched = {name: predictor.view(name) for name in predictor.parameters}
        self._made: dict[str, np.ndarray] = {}
        self._given = {n: v for n, v in fetched.items() if isinstance(v, np.ndarray)}
        self.name: str = found.name
        self.type: str = found.type
        self.ops: list[OperatorDef] = []
        for op in found.op:
            self.ops.append(OperatorDef())
            self.ops[-1].CopyFrom(op)
        self.captured = {name for op in self.ops for name in _inner_names(op)}
        self.kept = {*self.outputs, *self.captured}
        self._names = {*self.inputs, *fetched, *(n for op in self.ops for n in (*op.input, *op.output))} | self.captured
        written = {name for op in self.ops for name in op.output}
        self._varying = {name for name in self._given if name in written}

    # ---- looking ------------------------------------------------------------------------------------------------

    @property
    def weights(self) -> dict[str, np.ndarray] | None:
        """All that the operators read and neither write nor get as input; None when something of it is no array."""
        written = {name for op in self.ops for name in op.output}
        read = {name for op in self.ops for name in op.input} - written - {*self.inputs}
        found = {name: self.weight(name) for name in read}
        if self.captured or self._varying or any(value is None for value in found.values()):
            return None
        return {name: value for name, value in found.items() if value is not None}

    def weight(self, name: str) -> np.ndarray | None:
        """The value of a blob that the init net made and the predict net never writes."""
        if name in self._varying:
            return None
        return self._made.get(name, self._given.get(name))

    def readers(self) -> dict[str, list[OperatorDef]]:
        """Blob -> operators that read it, one entry for each time."""
        found: dict[str, list[OperatorDef]] = {}
        for op in self.ops:
            for name in op.input:
                found.setdefault(name, []).append(op)
        return found

    def writers(self) -> dict[str, OperatorDef]:
        """Blob -> the operator that writes it (last)."""
        return {name: op for op in self.ops for name in op.output}

    def activation(self, name: str, readers: dict[str, list[OperatorDef]]) -> tuple[OperatorDef, float] | None:
        """The Relu, ReluN or Clip from 0 that alone reads a blob, so that it may fuse with what writes it, and its
        upper end. readers: what `readers` gives."""
        behind = readers.get(name, [])
        top = upper_end(behind[0]) if len(behind) == 1 and name not in self.kept else None
        return None if top is None else (behind[0], top)

    # ---- changing -----------------------------------------------------------------------------------------------

    def unique(self, name: str) -> str:
        """The name, or the first of name_2, name_3, ... that nothing has; taken from now on."""
        found, i = name, 1
        while found in self._names:
            i += 1
            found = f"{name}_{i}"
        self._names.add(found)
        return found

    def add_weight(self, name: str, value: np.ndarray) -> str:
        """Keep a new float weight under a name like the given one; returns the name."""
        made = self.unique(name)
        self._made[made] = np.ascontiguousarray(value, np.float32)
        return made

    def remove(self, gone: Sequence[OperatorDef]) -> None:
        """Take operators out, by identity."""
        ids = {id(op) for op in gone}
        self.ops = [op for op in self.ops if id(op) not in ids]

    def remove_while(self, one: Callable[[Net], OperatorDef | None]) -> int:
        """Take out what `one` makes superfluous, until it finds nothing more; how many that were."""
        count = 0
        while op := one(self):
            self.remove([op])
            count += 1
        return count

    # ---- writing ------------------------------------------------------------------------------------------------

    def protos(self, extra: Sequence[OperatorDef] = ()) -> tuple[NetDef, NetDef]:
        """(init net, predict net). Init operators that nothing needs are left out; those of new weights, and `extra`,
        are added."""
        read = {name for op in self.ops for name in op.input} | self.kept
        source = load_net(self._source)
        init = NetDef(name=source.name)
        init.op.extend(needed(source.op, read))
        for name, value in self._made.items():
            if name in read:
                init.op.append(operator("GivenTensorFill", [], [name], shape=value.shape, values=value.reshape(-1)))
        init.op.extend(extra)
        return init, self.predict([name for op in init.op for name in op.output if name in read])

    def predict(self, weights: Iterable[str]) -> NetDef:
        """The predict net, with the names of what is there before it runs."""
        predict = NetDef(name=self.name, type=self.type)
        predict.op.extend(self.ops)
        predict.external_input.extend([*self.inputs, *dict.fromkeys(weights)])
        predict.external_output.extend(self.outputs)
        return predict


def operator(
    type: str, inputs: Sequence[str], outputs: Sequence[str], engine: str = "", **arguments: Any
) -> OperatorDef:
    """An OperatorDef; arguments as in core.CreateOperator."""
    op = OperatorDef(type=type, input=inputs, output=outputs, engine=engine)
    op.arg.extend(make_argument(name, _plain(value)) for name, value in arguments.items())
    return op


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def arguments(op: OperatorDef) -> Arguments:
    """Its arguments, by type."""
    return Arguments(op)


def upper_end(op: OperatorDef) -> float | None:
    """h when the operator is min(max(x, 0), h): Relu (infinite), ReluN, Clip from 0; else None."""
    args = arguments(op)
    if op.engine:
        return None
    if op.type == "Relu":
        return math.inf
    if op.type == "ReluN" and args.float("n", 1.0) > 0:
        return float(args.float("n", 1.0))
    if op.type == "Clip" and args.float("min", -math.inf) == 0 and args.float("max", math.inf) > 0:
        return float(args.float("max", math.inf))
    return None


def needed(ops: Sequence[OperatorDef], names: set[str]) -> list[OperatorDef]:
    """Those operators that make one of the names, directly or not; in order."""
    wanted, found = set(names), []
    for op in reversed(ops):
        if wanted & set(op.output):
            wanted |= set(op.input)
            found.append(op)
    return found[::-1]


def _inner_names(op: OperatorDef) -> Iterator[str]:
    """Names of blobs that nets within an operator use."""
    for argument in op.arg:
        for net in [*([argument.n] if argument.HasField("n") else []), *argument.nets]:
            yield from net.external_input
            yield from net.external_output
            for inner in net.op:
                yield from inner.input
                yield from inner.output
                yield from _inner_names(inner)


def check_float(net: Net) -> None:
    """QuantizationError when the net is quantized already; NetError when it has nothing to do."""
    if not net.ops:
        raise NetError(f'net "{net.name}" has no operators')
    for op in net.ops:
        if op.type.startswith("Int8") or op.engine.startswith("DNNLOWP"):
            raise QuantizationError(
                f'net "{net.name}" is quantized already: it has {op.type}{" " + op.engine if op.engine else ""}; '
                "give the float net that it was made from"
            )
