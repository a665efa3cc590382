"""Dictionaries in blobs: keys to numbers, integers to integers."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from serverquant import proto
from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError
from serverquant.blobs import dtypes
from serverquant.blobs._blob import Blob
from serverquant.blobs.serialize import add_reader
from serverquant.blobs.spec import TENSOR, Spec
from serverquant.ops.text import schema  # noqa: F401
from serverquant.proto.tensors import from_numpy, to_numpy
from serverquant.runtime._plan import PythonStep, Step
from serverquant.runtime.operator import Operator, PythonOperator
from serverquant.runtime.registry import register

_KINDS = {"IntIndexCreate": dtypes.INT32, "LongIndexCreate": dtypes.INT64, "StringIndexCreate": dtypes.STRING}


class Index:
    """Keys of one type and their numbers, from 1 up."""

    TYPE = "std::unique_ptr<caffe2::IndexBase>"

    def __init__(self, kind: int, max_elements: int):
        self.kind, self.max_elements = kind, max_elements
        self.frozen = False
        self.numbers: dict[Any, int] = {}
        self._lock = threading.Lock()

    def get(self, keys: list[Any]) -> list[int]:
        with self._lock:
            return [self._number(key) for key in keys]

    def _number(self, key: Any) -> int:
        found = self.numbers.get(key)
        if found is None:
            if self.frozen:
                return 0
            found = len(self.numbers) + 1
            if found >= self.max_elements:
                raise ServerquantError(f"the index is full: max_elements is {self.max_elements}")
            self.numbers[key] = found
        return found

    def load(self, keys: list[Any]) -> None:
        with self._lock:
            if len(keys) > self.max_elements:
                raise ServerquantError(f"{len(keys)} keys do not fit: max_elements is {self.max_elements}")
            numbers = {key: i + 1 for i, key in enumerate(keys)}
            if len(numbers) != len(keys):
                raise ServerquantError("a key is there twice; the keys of an index are all different")
            self.numbers = numbers

    def keys(self) -> np.ndarray:
        made = np.empty(len(self.numbers), dtypes.NUMPY[self.kind])
        made[:] = list(self.numbers)
        return made

    def to_blob(self) -> Any:
        """Caffe2's form: the keys as a tensor, "max_elements frozen" beside it."""
        message = proto.BlobProto(type=self.TYPE, content=f"{self.max_elements} {int(self.frozen)}".encode())
        message.tensor.CopyFrom(from_numpy(self.keys(), segment=(0, len(self.numbers))))
        return message

    @classmethod
    def from_blob(cls, message: Any) -> Index:
        keys = to_numpy(message.tensor)
        max_elements, frozen = message.content.split()
        index = cls(message.tensor.data_type, int(max_elements))
        index.load(keys.tolist())
        index.frozen = bool(int(frozen))
        return index

    def __repr__(self) -> str:
        return f"<index of {len(self.numbers)} {dtypes.name(self.kind)} keys>"


class IntMap:
    """A map of integers; `keys` and `values` are its arrays."""

    def __init__(self, keys: np.ndarray, values: np.ndarray):
        self.keys, self.values = keys, values

    @staticmethod
    def type_name(key: int, value: int) -> str:
        names = {dtypes.INT32: "int32_t", dtypes.INT64: "int64_t"}
        return f"(std::unordered_map<{names[key]}, {names[value]}>)"

    def to_blob(self) -> Any:
        kinds = (dtypes.from_numpy(self.keys.dtype), dtypes.from_numpy(self.values.dtype))
        tensors = proto.TensorProtos()
        for array in (self.keys, self.values):
            tensors.protos.add().CopyFrom(from_numpy(array, segment=(0, array.size)))
        return proto.BlobProto(type=self.type_name(*kinds), content=tensors.SerializeToString())

    @classmethod
    def from_blob(cls, message: Any) -> IntMap:
        keys, values = proto.TensorProtos.FromString(message.content).protos
        return cls(to_numpy(keys), to_numpy(values))

    def __repr__(self) -> str:
        return f"<map of {self.keys.size} {self.keys.dtype} keys to {self.values.dtype}>"


add_reader(Index.TYPE, Index.from_blob)
_INTEGERS = (dtypes.INT32, dtypes.INT64)
for _key in _INTEGERS:
    for _value in _INTEGERS:
        add_reader(IntMap.type_name(_key, _value), IntMap.from_blob)


# ---- indices -------------------------------------------------------------------------------------------------------


@register("IntIndexCreate", "LongIndexCreate", "StringIndexCreate")
class IndexCreate(Operator):
    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        outputs[0].feed_object(Index(_KINDS[self.type], self.args.max_elements))


class OnIndex(PythonOperator):
    """Base: input 0 is an index, input 1 keys of its type."""

    takes = ("object", "int32|int64|string")

    def output_type(self, ins: list[Spec], i: int) -> tuple[int, int]:
        return dtypes.INT64, TENSOR

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        index = inputs[0]
        if not isinstance(index, Index):
            raise DTypeError(f'input 0 "{self.inputs[0]}" holds a {type(index).__name__}; expected an index')
        if len(inputs) > 1 and dtypes.from_numpy(inputs[1].dtype) != index.kind:
            raise DTypeError(
                f'input 1 "{self.inputs[1]}" is {inputs[1].dtype}; the keys of the index are {dtypes.name(index.kind)}'
            )
        self.on(index, outputs, *inputs[1:])

    def on(self, index: Index, outputs: list[Any], *keys: np.ndarray) -> None:
        raise NotImplementedError


@register("IndexGet")
class IndexGet(OnIndex):
    def on(self, index: Index, outputs: list[Any], *keys: np.ndarray) -> None:
        outputs[0].reshape(-1)[...] = index.get(keys[0].reshape(-1).tolist())


@register("IndexLoad")
class IndexLoad(OnIndex):
    def on(self, index: Index, outputs: list[Any], *keys: np.ndarray) -> None:
        index.load(keys[0].reshape(-1).tolist()[int(self.args.skip_first_entry) :])
        outputs[0] = index


@register("IndexFreeze")
class IndexFreeze(OnIndex):
    def on(self, index: Index, outputs: list[Any], *keys: np.ndarray) -> None:
        index.frozen = True
        outputs[0] = index


@register("IndexSize")
class IndexSize(OnIndex):
    def on(self, index: Index, outputs: list[Any], *keys: np.ndarray) -> None:
        outputs[0][...] = len(index.numbers) + 1


@register("IndexStore")
class IndexStore(OnIndex):
    def on(self, index: Index, outputs: list[Any], *keys: np.ndarray) -> None:
        outputs[0] = index.keys()


# ---- maps ----------------------------------------------------------------------------------------------------------


@register("CreateMap")
class CreateMap(Operator):
    def setup(self) -> None:
        for name in ("key_dtype", "value_dtype"):
            if getattr(self.args, name) not in _INTEGERS:
                raise ArgumentError(f"argument {name} is {getattr(self.args, name)}; expected INT32 or INT64")

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        kinds = (dtypes.NUMPY[self.args.key_dtype], dtypes.NUMPY[self.args.value_dtype])
        outputs[0].feed_object(IntMap(*(np.zeros(0, kind) for kind in kinds)))


@register("KeyValueToMap")
class KeyValueToMap(Operator):
    takes = "int32|int64"

    def plan(self, ins: list[Spec], outs: list[Spec]) -> Step:
        if ins[0].size != ins[1].size:
            raise self.shape_error(ins, 1, f"{ins[0].size} values")
        return PythonStep(self.call)

    def call(self, inputs: list[Blob], outputs: list[Blob]) -> None:
        keys, first = np.unique(inputs[0].view().reshape(-1), return_index=True)
        outputs[0].feed_object(IntMap(keys, inputs[1].view().reshape(-1)[first].copy()))


@register("MapToKeyValue")
class MapToKeyValue(PythonOperator):
    takes = "object"

    def run(self, inputs: list[Any], outputs: list[Any]) -> None:
        if not isinstance(inputs[0], IntMap):
            raise DTypeError(f'input 0 "{self.inputs[0]}" holds a {type(inputs[0]).__name__}; expected a map')
        outputs[:] = [inputs[0].keys, inputs[0].values]
