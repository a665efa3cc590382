"""Shapes and types of a net's blobs without running it.

An operator whose outputs follow from the shapes of its inputs, and from small integer values at hand, tells them; what
depends on anything else stays unknown, and so does what depends on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from serverquant._base.errors import ServerquantError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, INT8, OBJECT, TENSOR, Spec
from serverquant.blobs.store import BlobStore
from serverquant.proto import TensorShapes
from serverquant.proto.wire import NetFile, read_net
from serverquant.runtime import registry
from serverquant.runtime.nets.graph import Node, Value
from serverquant.runtime.nets.passes import run_ahead
from serverquant.runtime.nets.simple import definitions
from serverquant.runtime.operator import Definition, Operator
from serverquant.runtime.planner import SMALL


class BlobSpec(Spec):
    """Spec of a blob, with the values that it has now."""

    __slots__ = ("_blob",)

    def __init__(self, blob: Blob):
        found = blob.spec()
        super().__init__(found.dims, found.dtype, found.kind)
        self._blob = blob

    @property
    def value(self) -> Any:
        if self.kind != TENSOR or self.dtype not in (dtypes.INT32, dtypes.INT64) or self.size > SMALL:
            return None
        if self._value is None:
            self._value = self._blob.fetch()
        return self._value


def known_blobs(store: BlobStore) -> dict[str, Spec]:
    """Specs of all blobs that hold something."""
    blobs = (store.get(name) for name in store.names())
    return {blob.name: BlobSpec(blob) for blob in blobs if blob.kind != EMPTY}


class Inferred(NamedTuple):
    """What an operator reads and writes; None where that is not known."""

    definition: Definition
    ins: list[Spec] | None
    outs: list[Spec] | None


def infer(
    nets: Iterable[Any], known: Mapping[str, Spec], store: BlobStore, faults: list[ServerquantError] | None = None
) -> dict[str, Spec]:
    """Specs of all blobs that are known, or that follow, after running the nets one after the other.

    nets: any sources of nets, or `NetFile`s. An operator that cannot be made or cannot take its inputs is a
    ServerquantError; with `faults` the error goes there, and what the operator writes stays unknown.
    """
    found = dict(known)
    for _ in walk(nets, found, store, faults):
        pass
    return found


def walk(
    nets: Iterable[Any], found: dict[str, Spec], store: BlobStore, faults: list[ServerquantError] | None = None
) -> Iterator[Inferred]:
    """The same operator by operator; `found` is what is known so far."""
    for net in nets:
        for definition in definitions(net if isinstance(net, NetFile) else read_net(net), False, store):
            ins = [found[name] for name in definition.inputs if name in found]
            outs = None
            if len(ins) == len(definition.inputs):
                try:
                    operator = registry.create(definition)
                    outs = _outputs(operator, _with_objects(operator, ins))
                except ServerquantError as error:
                    if faults is None:
                        raise error.at(definition.place)
                    faults.append(error.at(definition.place))
            for i, name in enumerate(definition.outputs):
                if outs is None:
                    found.pop(name, None)
                else:
                    found[name] = outs[i]
            yield Inferred(definition, ins if len(ins) == len(definition.inputs) else None, outs)


def to_message(found: Mapping[str, Spec], names: Iterable[str] = ()) -> TensorShapes:
    """Caffe2's message of the shapes, sorted by name. Of `names` those that are not in it are marked as unknown."""
    message = TensorShapes()
    for name in sorted({*found, *names}):
        shape, spec = message.shapes.add(name=name), found.get(name)
        if spec is None or not is_told(spec):
            shape.unknown_shape = True
        else:
            shape.dims.extend(spec.dims)
            shape.data_type = spec.dtype
    return message


def is_told(spec: Spec) -> bool:
    """Whether Caffe2 has a shape for it: objects count that it tells of as tensors (Operator.tells)."""
    return spec.kind in (TENSOR, INT8) or (spec.kind == OBJECT and spec.dtype != 0)


def _with_objects(operator: Operator, ins: list[Spec]) -> list[Spec]:
    """Where the operator needs an object, a tensor of one element stands for it, as Caffe2's callers tell of it."""
    return [
        Spec((), 0, OBJECT) if spec.kind == TENSOR and spec.size == 1 and operator.taken(i) == "object" else spec
        for i, spec in enumerate(ins)
    ]


def _outputs(operator: Operator, ins: list[Spec]) -> list[Spec] | None:
    operator.check_types(ins)
    outs = operator.infer(ins)
    if outs is None:
        return None
    operator.check_outputs(ins, outs)
    if operator.tells:
        outs = [Spec((1,), operator.tells, spec.kind) for spec in outs]
    if operator.schema.values is not None:
        values = operator.schema.values(operator, ins)
    else:
        values = _filled(operator, ins, outs)
    if values is None:
        return outs
    several = values if isinstance(values, list) else [values]
    return [_with_value(spec, value) for spec, value in zip(outs, several)]


def _filled(operator: Operator, ins: list[Spec], outs: list[Spec]) -> Any:
    """The values of a fill of few integers, which may be somebody's shape."""
    if ins or operator.effects is not False or len(outs) != 1 or outs[0].kind != TENSOR:
        return None
    if outs[0].dtype not in (dtypes.INT32, dtypes.INT64) or outs[0].size > SMALL:
        return None
    blob = Blob(operator.outputs[0])
    run_ahead([Node(operator, [], [Value(blob.name, blob=blob)])])
    return blob.fetch()


def _with_value(spec: Spec, value: Any) -> Spec:
    array = np.asarray(value, dtypes.NUMPY[spec.dtype], order="C")
    return Spec(array.shape, spec.dtype, spec.kind, array)
