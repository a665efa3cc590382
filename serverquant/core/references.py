"""Blobs by name while a net is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from serverquant.blobs.store import blob_name
from serverquant.core.scopes import CurrentNameScope
from serverquant.runtime import registry

if TYPE_CHECKING:
    from serverquant.core.net import Net


class BlobReference:
    """A blob by name, with the net that makes it. Calling an operator on it adds one to that net: `x.Relu("y")`."""

    def __init__(self, name: Any, net: Net | None = None):
        self._name, self._from_net = blob_name(name), net
        self.meta: dict[str, Any] = {}

    def GetNameScope(self) -> str:
        """Its scopes, with the last slash."""
        return self._name[: self._name.rfind("/") + 1]

    def GetUnscopedName(self) -> str:
        """The name without its scopes."""
        return self._name[self._name.rfind("/") + 1 :]

    def Net(self) -> Net | None:
        """The net that it was made for."""
        return self._from_net

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f'BlobReference("{self._name}")'

    def __hash__(self) -> int:
        return hash(self._name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (str, bytes, BlobReference)) and self._name == blob_name(other)

    def __add__(self, other: Any) -> BlobReference:
        return BlobReference(self._name + blob_name(other), self._from_net)

    def __radd__(self, other: Any) -> BlobReference:
        return BlobReference(blob_name(other) + self._name, self._from_net)

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if op_type.startswith("_") or op_type not in registry.types():
            raise AttributeError(f"a blob reference has no {op_type}, and no operator is called so")
        if self._from_net is None:
            raise AttributeError(f'blob "{self._name}" belongs to no net; call {op_type} on the net instead')
        add = getattr(self._from_net, op_type)
        return lambda *args, **kwargs: add([self, *names_of(args[0] if len(args) > 1 else [])], *args[-1:], **kwargs)


def names_of(blobs: Any) -> list[Any]:
    """A list of blobs from one or several; one named by str, bytes or a reference counts as one."""
    if blobs is None:
        return []
    if isinstance(blobs, (str, bytes, BlobReference)):
        return [blobs]
    return list(blobs)


def scoped(blobs: Any, net: Net | None = None) -> list[BlobReference]:
    """References to one or several blobs. A plain name gets the current scope's prefix; a reference has it already."""
    return [b if isinstance(b, BlobReference) else ScopedBlobReference(b, net) for b in names_of(blobs)]


def ScopedName(name: Any) -> str:
    """The name with the current scope's prefix."""
    return CurrentNameScope() + blob_name(name)


def ScopedBlobReference(name: Any, net: Net | None = None) -> BlobReference:
    """A reference to the name with the current scope's prefix."""
    return BlobReference(ScopedName(name), net)
