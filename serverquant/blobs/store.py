"""A workspace's blobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from serverquant._base.errors import MissingBlobError
from serverquant.blobs._blob import Blob


class Int8(NamedTuple):
    """The value of an Int8 tensor: data (uint8, int32 or uint16), scale and zero point."""

    data: np.ndarray
    scale: float
    zero_point: int


def blob_name(name: Any) -> str:
    """The text of a blob's name: str, bytes or a BlobReference."""
    return name.decode() if isinstance(name, bytes) else str(name)


class BlobStore:
    """Blobs by name; those of `parent`, if there is one, are seen too (nearest first).

    A removed blob is forgotten by name, but its object comes back when the name is used again: nets point to it.
    """

    def __init__(self, parent: BlobStore | None = None):
        self.parent = parent
        self._blobs: dict[str, Blob] = {}
        self._removed: dict[str, Blob] = {}

    def find(self, name: str) -> Blob | None:
        """The blob, or None."""
        found = self._blobs.get(name)
        if found is None and self.parent is not None:
            return self.parent.find(name)
        return found

    def get(self, name: str) -> Blob:
        """The blob; MissingBlobError with the closest names when there is none."""
        found = self.find(name)
        if found is None:
            raise MissingBlobError(f'there is no blob "{name}"{closest(name, self.names())}')
        return found

    def create(self, name: str) -> Blob:
        """The blob of that name, made empty if there is none."""
        found = self.find(name)
        return self.local(name) if found is None else found

    def local(self, name: str) -> Blob:
        """The blob of that name in this store itself, made empty if there is none: a parent's is hidden by it."""
        found = self._blobs.get(name)
        if found is None:
            removed = self._removed.pop(name, None)
            found = self._blobs[name] = Blob(name) if removed is None else removed
        return found

    def remove(self, name: str) -> bool:
        """Forget a blob of this store; False when there is none."""
        blob = self._blobs.pop(name, None)
        if blob is None:
            return False
        blob.clear()
        self._removed[name] = blob
        return True

    def clear(self) -> None:
        for name in list(self._blobs):
            self.remove(name)

    def names(self) -> list[str]:
        """Names of all blobs that can be seen, sorted."""
        return sorted(set(self._blobs) | set(self.parent.names() if self.parent else ()))

    def fetch(self, name: str) -> Any:
        """A copy of the blob's value; an Int8 tensor as `Int8`."""
        blob = self.get(name)
        value = blob.fetch()
        return Int8(value, np.float32(blob.scale), blob.zero_point) if blob.spec().is_int8 else value

    def __contains__(self, name: object) -> bool:
        return self.find(blob_name(name)) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())


def closest(name: str, known: list[str]) -> str:
    """' (did you mean ...?)' with the names most like `name`, or nothing."""
    import difflib

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f" (did you mean {', '.join(near)}?)" if near else ""
