"""Types of nets, by the names that NetDef.type has for them."""

from __future__ import annotations

from serverquant._base.errors import NetError
from serverquant.blobs.store import BlobStore, closest
from serverquant.proto.wire import NetFile
from serverquant.runtime.nets.dag import DagNet
from serverquant.runtime.nets.planned import PlannedNet
from serverquant.runtime.nets.simple import SimpleNet

TYPES: dict[str, type[SimpleNet]] = {
    "": SimpleNet,
    "simple": SimpleNet,
    "simple_refcount": SimpleNet,
    "async_simple": SimpleNet,
    "rnn": SimpleNet,
    "dag": DagNet,
    "async_dag": DagNet,
    "prof_dag": DagNet,
    "async_scheduling": DagNet,
    "async_polling": DagNet,
    "parallel": DagNet,
    "planned": PlannedNet,
}


def net_class(source: NetFile) -> type[SimpleNet]:
    """The class for the type that a NetDef asks for."""
    kind = source.net.type
    if kind not in TYPES:
        known = ", ".join(name for name in TYPES if name)
        raise NetError(f'net "{source.net.name}" is of type "{kind}"{closest(kind, list(TYPES))}; known types: {known}')
    return TYPES[kind]


def make_net(source: NetFile, store: BlobStore, fix_defects: bool = False) -> SimpleNet:
    """The net of a NetDef, of the type that it asks for."""
    return net_class(source)(source, store, fix_defects)
