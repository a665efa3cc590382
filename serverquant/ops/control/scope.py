"""Blobs of nets that run inside operators."""

from __future__ import annotations

from typing import Any

from serverquant.blobs._blob import Blob
from serverquant.runtime.workspace import Workspace


class InnerWorkspace(Workspace):
    """Blobs apart from all others, but for those that are bound to blobs around."""

    def __init__(self, root_folder: str = "."):
        super().__init__(root_folder=root_folder)
        self._bound: set[str] = set()

    def bind_blob(self, name: str, blob: Blob) -> None:
        """Let `name` be that blob."""
        self._blobs[name] = blob
        self._bound.add(name)

    def forget_own(self) -> None:
        """Empty all blobs that are not bound."""
        for name, blob in self._blobs.items():
            if name not in self._bound:
                blob.clear()


class Scope:
    """The value of a scope blob: the workspace that the last Do has left."""

    def __init__(self) -> None:
        self.last: InnerWorkspace | None = None

    def __repr__(self) -> str:
        return f"<scope{'' if self.last is None else f' of {len(self.last)} blobs'}>"


def root_folder_of(store: Any) -> str:
    return getattr(store, "root_folder", ".")
