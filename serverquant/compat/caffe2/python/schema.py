"""Records: blobs with a structure.

Scalar is one field, Struct names several, List and Map repeat others with lengths in front. A field without a blob is
only a type. Columns are named by the way to them: "a:b:lengths".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

FIELD_SEPARATOR = ":"


class Field:
    """Base of all records. Subclasses give `items()`: (name, field) of what is in it."""

    def items(self) -> list[tuple[str, Any]]:
        raise NotImplementedError

    def _scalars(self) -> Iterator[tuple[str, Scalar]]:
        for name, field in self.items():
            for inner, scalar in field._scalars():
                yield (f"{name}{FIELD_SEPARATOR}{inner}" if inner else name), scalar

    def field_names(self) -> list[str]:
        return [name for name, _ in self._scalars()]

    def field_types(self) -> list[Any]:
        return [scalar.dtype for _, scalar in self._scalars()]

    def field_blobs(self) -> list[Any]:
        """Blobs of all columns; AssertionError when there are none."""
        blobs = [scalar._blob for _, scalar in self._scalars()]
        assert None not in blobs, "the record has no blobs"
        return blobs

    def all_scalars(self) -> list[Scalar]:
        return [scalar for _, scalar in self._scalars()]

    def has_blobs(self) -> bool:
        return all(scalar.has_blobs() for scalar in self.all_scalars())

    def _rebuilt(self, scalars: Iterator[Any]) -> Any:
        raise NotImplementedError

    def on_blobs(self, blobs: Sequence[Any]) -> Any:
        """The same record on these blobs, in the order of its columns."""
        names = self.field_names()
        assert len(names) == len(blobs), f"{len(blobs)} blobs for {len(names)} columns"
        return self._rebuilt(Scalar(s.dtype, blob) for s, blob in zip(self.all_scalars(), blobs))

    def with_blobs(self, make: Callable[[str], Any]) -> Any:
        """The same record on new blobs, made from the names of its columns."""
        return self.on_blobs([make(name.replace(FIELD_SEPARATOR, "/")) for name in self.field_names()])

    def clone_schema(self) -> Any:
        """The same record without blobs."""
        return self._rebuilt(Scalar(scalar.dtype) for scalar in self.all_scalars())

    clone = clone_schema

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}: {field!r}' for name, field in self.items())})"

    __str__ = __repr__


class Scalar(Field):
    """One column: a type, and perhaps a blob, which calling it gives."""

    def __init__(self, dtype: Any = None, blob: Any = None, metadata: Any = None, unsafe: bool = False):
        self._set(dtype, blob)
        self.metadata = metadata

    def _set(self, dtype: Any, blob: Any) -> None:
        self._blob = blob
        self.dtype = None if dtype is None else dtype if isinstance(dtype, np.dtype) else np.dtype(dtype)

    def items(self) -> list[tuple[str, Any]]:
        return []

    def _scalars(self) -> Iterator[tuple[str, Scalar]]:
        yield "", self

    def has_blobs(self) -> bool:
        return self._blob is not None

    def set(self, dtype: Any = None, blob: Any = None, metadata: Any = None, unsafe: bool = False) -> None:
        self._set(dtype, blob)

    def get(self) -> Any:
        assert self._blob is not None, "the field has no blob"
        return self._blob

    __call__ = get

    def field_type(self) -> Any:
        return self.dtype

    def _rebuilt(self, scalars: Iterator[Any]) -> Any:
        return next(scalars)

    def __repr__(self) -> str:
        return f"Scalar({self.dtype}{'' if self._blob is None else f', {self._blob}'})"

    __str__ = __repr__


class Struct(Field):
    """Fields by name, as attributes too. Names with ":" nest."""

    def __init__(self, *fields: tuple[str, Any], **kwargs: Any):
        self.fields: dict[str, Any] = {}
        for name, field in [*fields, *kwargs.items()]:
            first, _, rest = name.partition(FIELD_SEPARATOR)
            field = _as_field(field)
            if rest:
                inner = self.fields.get(first, Struct())
                field = Struct(*inner.items(), (rest, field))
            elif first in self.fields:
                raise ValueError(f"the record has a field {first} already")
            self.fields[first] = field

    def items(self) -> list[tuple[str, Any]]:
        return list(self.fields.items())

    get_children = items

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "fields" or name not in self.fields:
            raise AttributeError(f"the record has no field {name}")
        return self.fields[name]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (list, tuple)):
            return Struct(*((name, self[name]) for name in key))
        if isinstance(key, int):
            return list(self.fields.values())[key]
        first, _, rest = key.partition(FIELD_SEPARATOR)
        return self.fields[first][rest] if rest else self.fields[first]

    def __contains__(self, name: str) -> bool:
        first, _, rest = name.partition(FIELD_SEPARATOR)
        return first in self.fields and (not rest or rest in self.fields[first])

    def __len__(self) -> int:
        return len(self.fields)

    def __add__(self, other: Struct) -> Struct:
        return Struct(*self.items(), *other.items())

    def _rebuilt(self, scalars: Iterator[Any]) -> Any:
        return Struct(*((name, field._rebuilt(scalars)) for name, field in self.items()))


class List(Field):
    """Items one after the other; `lengths` says how many belong to each row."""

    def __init__(self, values: Any, lengths_blob: Any = None):
        self.lengths = Scalar(np.int32, lengths_blob)
        self._items = _as_field(values)

    @property
    def values(self) -> Any:
        return self._items

    def items(self) -> list[tuple[str, Any]]:
        return [("lengths", self.lengths), ("values", self._items)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._items, name)

    def _rebuilt(self, scalars: Iterator[Any]) -> Any:
        lengths = next(scalars)
        return List(self._items._rebuilt(scalars), lengths._blob)


def Map(keys: Any, values: Any, keys_name: str = "keys", values_name: str = "values", lengths_blob: Any = None) -> List:
    """A list of keys and values."""
    return List(Struct((keys_name, keys), (values_name, values)), lengths_blob)


def Tuple(*fields: Any) -> Struct:
    return Struct(*((f"field_{i}", field) for i, field in enumerate(fields)))


def _as_field(value: Any) -> Any:
    return value if isinstance(value, Field) else Scalar(value)


as_record = _as_field


def NewRecord(net: Any, record: Any) -> Any:
    """The record on new blobs of the net."""
    if isinstance(record, Scalar):
        return Scalar(record.dtype, net.NextScopedBlob("unnamed_scalar"))
    return record.with_blobs(net.NextScopedBlob)


def from_blob_list(record: Any, values: Sequence[Any], throw_on_type_mismatch: bool = False) -> Any:
    return record.on_blobs(values)


def from_column_list(
    col_names: Sequence[str], col_types: Any = None, col_blobs: Any = None, col_metadata: Any = None
) -> Any:
    """A record of columns by name."""
    types = col_types or [None] * len(col_names)
    blobs = col_blobs or [None] * len(col_names)
    return Struct(*((name, Scalar(t, blob)) for name, t, blob in zip(col_names, types, blobs)))


def FeedRecord(record: Any, arrays: Any) -> None:
    from serverquant import workspace

    values = arrays.field_blobs() if isinstance(arrays, Field) else arrays
    for blob, value in zip(record.field_blobs(), values):
        workspace.FeedBlob(blob, value)


def FetchRecord(record: Any, ws: Any = None) -> Any:
    from serverquant import workspace

    space = workspace.current() if ws is None else ws
    return record.on_blobs([space.fetch(str(blob)) for blob in record.field_blobs()])
