"""Save, Load and CreateDB: the default engines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from serverquant import proto
from serverquant._base.errors import ArgumentError, MissingBlobError, NetError, ParseError
from serverquant.blobs._blob import Blob
from serverquant.blobs.serialize import feed_message, to_message
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.control import state  # noqa: F401 - can read counters
from serverquant.ops.db import minidb, schema  # noqa: F401
from serverquant.ops.text import dictionaries  # noqa: F401 - can read indices and maps
from serverquant.proto.io import load
from serverquant.proto.tensors import from_numpy, join
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator
from serverquant.runtime.registry import register

CHUNK = 1_000_000  # elements of a record
_SEPARATOR = "#%"  # between a tensor's name and the number of the record


class Database:
    """The value of a blob that CreateDB makes."""

    def __init__(self, path: str):
        self.path = path

    def __repr__(self) -> str:
        return f"<minidb {self.path}>"


class FileOperator(Operator):
    any_inputs = True
    by_name = True

    def check_kind(self) -> None:
        if self.args.db_type != "minidb":
            raise ArgumentError(f'argument db_type is "{self.args.db_type}"; expected minidb')

    def path(self, name: str) -> str:
        if not name:
            raise ArgumentError("argument db is empty; expected a path")
        root = "" if getattr(self.args, "absolute_path", True) else getattr(self.definition.store, "root_folder", ".")
        return os.path.join(root, name)

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        raise NotImplementedError


@register("Save")
class Save(FileOperator):
    def setup(self) -> None:
        self.check_kind()
        names = [name.decode("utf-8", "replace") for name in self.args.blob_name_overrides] or [
            name.removeprefix(self.args.strip_prefix) for name in self.inputs
        ]
        if len(names) != len(self.inputs) or len(set(names)) != len(names):
            raise ArgumentError(f"{len(self.inputs)} blobs cannot be saved under the names {names}")
        self.names = names

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        for blob, name in zip(inputs, self.inputs):
            if blob.is_empty:
                raise MissingBlobError(f'blob "{name}" is empty and cannot be saved')
        minidb.write(self.path(self.args.db), self._records(inputs))

    def _records(self, blobs: list[Blob]) -> Iterator[tuple[str, bytes]]:
        chunk = self.args.chunk_size or CHUNK
        for name, blob in zip(self.names, blobs):
            if blob.kind != TENSOR:
                yield name, to_message(blob, name).SerializeToString()
                continue
            size, values = blob.spec().size, blob.view()
            for number, begin in enumerate(range(0, max(size, 1), chunk)):
                message = proto.BlobProto(name=name, type="Tensor")
                message.tensor.CopyFrom(from_numpy(values, name, (begin, min(begin + chunk, size))))
                yield f"{name}{_SEPARATOR}{number}", message.SerializeToString()


@register("CreateDB")
class CreateDB(FileOperator):
    def setup(self) -> None:
        self.check_kind()

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        path = self.path(self.args.db)
        next(minidb.read(path), None)  # an error now rather than later
        outputs[0].feed_object(Database(path))


@register("Load")
class Load(FileOperator):
    def setup(self) -> None:
        if not self.inputs:
            self.check_kind()
        names = [name.decode("utf-8", "replace") for name in self.args.source_blob_names]
        if names and len(names) != len(self.outputs):
            raise ArgumentError(f"source_blob_names has {len(names)} names for {len(self.outputs)} outputs")
        if self.args.load_all and self.args.source_blob_names:
            raise ArgumentError("load_all and source_blob_names exclude each other")
        self.target_of = dict(zip(names, self.outputs)) if names else {}

    def _files(self, inputs: list[Blob]) -> list[str]:
        if inputs:
            for blob in inputs:
                if not isinstance(blob.value, Database):
                    raise NetError(f'"{blob.name}" holds {blob.spec()!r}; expected what CreateDB makes')
            return [blob.value.path for blob in inputs]
        return [self.path(name) for name in ([d.decode("utf-8", "replace") for d in self.args.dbs] or [self.args.db])]

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        wanted = dict(zip(self.outputs, outputs))
        parts: dict[str, list[Any]] = {}
        for path in self._files(inputs):
            for key, value in minidb.read(path):
                target = self._target(key.split(_SEPARATOR)[0])
                if target in wanted or self.args.load_all:
                    parts.setdefault(target, []).append(load(value, proto.BlobProto))
        missing = [name for name in wanted if name not in parts]
        if missing and not self.args.allow_incomplete:
            raise MissingBlobError(f"the file has no {', '.join(missing)}")
        for target, messages in parts.items():
            blob = wanted.get(target)
            _feed(self.definition.store.create(target) if blob is None else blob, messages)

    def _target(self, name: str) -> str:
        """The blob that a name in the file goes to."""
        if self.target_of:
            return self.target_of.get(name, "")
        return self.args.add_prefix + name.removeprefix(self.args.strip_prefix)


def _feed(blob: Blob, messages: list[Any]) -> None:
    if messages[0].type == "Tensor":
        blob.feed(join([message.tensor for message in messages]))
    elif len(messages) == 1:
        feed_message(blob, messages[0])
    else:
        raise ParseError(f'blob "{blob.name}" is in the file {len(messages)} times')
