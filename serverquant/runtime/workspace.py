"""A workspace: blobs and the nets that run on them."""

from __future__ import annotations

from typing import Any

from serverquant._base.errors import NetError
from serverquant.blobs._blob import Blob
from serverquant.blobs.store import BlobStore, closest
from serverquant.proto.wire import NetFile, read_net
from serverquant.runtime.nets import make_net
from serverquant.runtime.nets.simple import SimpleNet
from serverquant.runtime.observe import on_creation
from serverquant.runtime.options import options


class Workspace(BlobStore):
    """Blobs by name and nets by name.

    With a `parent`, its blobs are seen and can be read; nets stay apart. What nets write is blobs of this workspace,
    unless it `writes_through`: then a blob that the parent has is written there.
    """

    def __init__(self, parent: BlobStore | None = None, root_folder: str = ".", writes_through: bool = False):
        super().__init__(parent)
        self._writes_through = writes_through
        self.nets: dict[str, SimpleNet] = {}
        self.root_folder = root_folder

    @property
    def blobs(self) -> dict[str, Blob]:
        """The blobs that can be seen, by name. A blob's `fetch`, `feed` and `tensor` get at its value."""
        return {name: self.get(name) for name in self.names()}

    def create_blob(self, name: str) -> Blob:
        """The blob of that name, made empty if there is none."""
        return self.create(name)

    def local(self, name: str) -> Blob:
        found = self.parent.find(name) if self._writes_through and self.parent is not None else None
        return super().local(name) if found is None else found

    def create_net(self, source: Any, overwrite: bool = False) -> SimpleNet:
        """Check and keep a net: a path, serialized bytes, any NetDef message, or something with `Proto()`."""
        file = read_net(source)
        name = file.net.name
        if name in self.nets and not overwrite:
            raise NetError(f'there is a net "{name}" already; overwrite=True takes its place')
        net = self._announced(self.bind(file))
        self.delete_net(name)
        self.nets[name] = net
        return net

    def delete_net(self, name: str) -> bool:
        """Forget a net; False when there is none."""
        net = self.nets.pop(name, None)
        if net is not None:
            net.close()
        return net is not None

    def bind(self, file: NetFile, fix_defects: bool | None = None) -> SimpleNet:
        """A net on this workspace's blobs that is not kept by name. `fix_defects` outranks options.caffe2_defects."""
        return make_net(file, self, options.fixes_defects if fix_defects is None else fix_defects)

    def net(self, name: str) -> SimpleNet:
        """A net by name; NetError with the closest names."""
        if name not in self.nets:
            raise NetError(f'there is no net "{name}"; create it first{closest(name, list(self.nets))}')
        return self.nets[name]

    def run_once(self, source: Any) -> None:
        """Create, run and forget a net."""
        net = self._announced(self.bind(read_net(source)))
        try:
            net.run()
        finally:
            net.close()

    def reset(self) -> None:
        """Forget all nets and blobs."""
        for name in list(self.nets):
            self.delete_net(name)
        self.clear()

    @staticmethod
    def _announced(net: SimpleNet) -> SimpleNet:
        for tell in on_creation:
            tell(net)
        return net
