"""Caffe2's message classes, made from serialized descriptors in a pool of our own.

Nothing is registered in protobuf's default pool, so another caffe2.proto in the process (Caffe2's own `caffe2_pb2`,
or a vendored one) neither clashes with ours nor changes it. There is no generated `_pb2` module either: those are
tied to one major version of protobuf, while descriptors are read by all (4.25 and newer).

`caffe2.desc` is a FileDescriptorSet that `make proto` writes from the .proto files.
"""

from __future__ import annotations

import os
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "caffe2"


def _load_pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    with open(os.path.join(os.path.dirname(__file__), "caffe2.desc"), "rb") as file:
        data = file.read()
    for entry in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.AddSerializedFile(entry.SerializeToString())
    return pool


POOL = _load_pool()
FILES = tuple(POOL.FindFileByName(f"caffe2/proto/{n}.proto") for n in ("caffe2", "metanet", "predictor_consts"))


def message_classes() -> dict[str, Any]:
    """All top-level message classes by name. They say that they live in `serverquant.proto`, so that they pickle."""
    classes = {}
    for file in FILES:
        for name, descriptor in file.message_types_by_name.items():
            cls = message_factory.GetMessageClass(descriptor)
            cls.__module__ = "serverquant.proto"
            classes[name] = cls
    return classes


def enum_values() -> dict[str, int]:
    """Every value of the top-level enums by name, and the short alias (`CPU`) of each PROTO_ name."""
    values: dict[str, int] = {}
    for file in FILES:
        for enum in file.enum_types_by_name.values():
            values.update((value.name, value.number) for value in enum.values)
    values.update({name.removeprefix("PROTO_"): number for name, number in values.items()})
    return values
