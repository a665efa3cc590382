"""Shapes and types of a net's blobs without running it.

An operator whose outputs follow from the shapes of its inputs, and from small integer values at hand, tells them; what
depends on anything else stays unknown, and so does what depends on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from serverquant._base.errors import ServerquantError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.spec import EMPTY, TENSOR, Spec
from serverquant.blobs.store import BlobStore
from serverquant.proto.wire import read_net
from serverquant.runtime import registry
from serverquant.runtime.nets.simple import definitions
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


def infer(nets: Iterable[Any], known: Mapping[str, Spec], store: BlobStore) -> dict[str, Spec]:
    """Specs of all blobs that are known, or that follow, after running the nets one after the other. An operator that
    cannot take its inputs is a ServerquantError."""
    found = dict(known)
    for net in nets:
        for definition in definitions(read_net(net), False, store):
            outs = None
            if all(name in found for name in definition.inputs):
                try:
                    outs = _outputs(registry.create(definition), [found[name] for name in definition.inputs])
                except ServerquantError as error:
                    raise error.at(definition.place)
            for i, name in enumerate(definition.outputs):
                if outs is None:
                    found.pop(name, None)
                else:
                    found[name] = outs[i]
    return found


def _outputs(operator: Any, ins: list[Spec]) -> list[Spec] | None:
    operator.check_types(ins)
    outs: list[Spec] | None = operator.infer(ins)
    if outs is None or operator.schema.values is None:
        return outs
    values = operator.schema.values(operator, ins)
    if values is None:
        return outs
    several = values if isinstance(values, list) else [values]
    return [_with_value(spec, value) for spec, value in zip(outs, several)]


def _with_value(spec: Spec, value: Any) -> Spec:
    array = np.asarray(value, dtypes.NUMPY[spec.dtype], order="C")
    return Spec(array.shape, spec.dtype, spec.kind, array)
