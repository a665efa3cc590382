"""Schemas of operators on strings, and of dictionaries that live in blobs."""

from __future__ import annotations

from typing import Any

from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg, Dims, same_as_first


def _one(op: Any, ins: list) -> list[Dims]:
    return [()]


# ---- strings -------------------------------------------------------------------------------------------------------

_STRINGS = ["strings"]
_LENGTH = [Arg("length", "int", 3, "How many bytes; not negative.")]
declare("StringPrefix", inputs=1, args=_LENGTH, doc="The first bytes of each string.", in_doc=_STRINGS)
declare("StringSuffix", inputs=1, args=_LENGTH, doc="The last bytes of each string.", in_doc=_STRINGS)
declare(
    "StringStartsWith",
    inputs=1,
    args=[Arg("prefix", "bytes", b"", "What is looked for.")],
    shape=same_as_first,
    doc="Whether each string begins so.",
    in_doc=_STRINGS,
)
declare(
    "StringEndsWith",
    inputs=1,
    args=[Arg("suffix", "bytes", b"", "What is looked for.")],
    shape=same_as_first,
    doc="Whether each string ends so.",
    in_doc=_STRINGS,
)
declare(
    "StringEquals",
    inputs=1,
    args=[Arg("text", "bytes", b"", "What is looked for.")],
    shape=same_as_first,
    doc="Whether each string is this.",
    in_doc=_STRINGS,
)
declare(
    "StringJoin",
    inputs=1,
    args=[
        Arg("delimiter", "bytes", b",", "Comes after every element."),
        Arg("axis", "int", 0, "0: rows become strings; 1: columns."),
    ],
    doc="The elements of each row as one string.",
    in_doc=["X: numbers, bools or strings, [N] or [N, D]"],
    out_doc=["strings [N], or [D] with axis 1"],
)

# ---- keys ----------------------------------------------------------------------------------------------------------

declare(
    "IndexHash",
    inputs=1,
    inplace=[(0, 0)],
    args=[Arg("seed", "int", 0, "Begins the hash."), Arg("modulo", "payload", None, "Above all results; more than 0.")],
    shape=same_as_first,
    doc="A hash of each integer, from 0 to below modulo.",
    in_doc=["X: int32 or int64"],
)
declare(
    "KeySplit",
    inputs=1,
    outputs=(1, MANY),
    args=[Arg("categorical_limit", "int", 0, "Above all elements; as many outputs.")],
    doc="Output k has the places, int32, where the elements are k.",
    in_doc=["X: int32 or int64 [N]"],
)

# ---- dictionaries --------------------------------------------------------------------------------------------------

_MAX = [Arg("max_elements", "int", 2147483647, "How many numbers there are, 0 included.")]
_INDEX = ["index: what IntIndexCreate, LongIndexCreate or StringIndexCreate makes"]
declare(
    "IntIndexCreate",
    "LongIndexCreate",
    "StringIndexCreate",
    inputs=0,
    args=_MAX,
    effects=True,
    doc="A dictionary from int32, int64 or string keys to numbers from 1 up.",
)
declare(
    "IndexGet",
    inputs=2,
    shape=lambda op, ins: [ins[1].dims],
    effects=True,
    doc="The number of each key, int64. A new key gets the next one; once the index is frozen, 0.",
    in_doc=[*_INDEX, "keys"],
)
declare(
    "IndexLoad",
    inputs=2,
    inplace=[(0, 0)],
    args=[Arg("skip_first_entry", "bool", False, "The first key is not loaded.")],
    effects=True,
    doc="Keys of the numbers 1, 2, ... in the place of all that was there.",
    in_doc=[*_INDEX, "keys, all different"],
)
declare("IndexFreeze", inputs=1, inplace=[(0, 0)], effects=True, doc="No new keys from now on.", in_doc=_INDEX)
declare(
    "IndexSize", inputs=1, shape=_one, effects=True, doc="Numbers that are taken, 0 included: int64.", in_doc=_INDEX
)
declare("IndexStore", inputs=1, effects=True, doc="The keys in the order of their numbers.", in_doc=_INDEX)
declare(
    "CreateMap",
    inputs=0,
    args=[
        Arg("key_dtype", "int", 2, "TensorProto.DataType of the keys: INT32 or INT64."),
        Arg("value_dtype", "int", 2, "TensorProto.DataType of the values: INT32 or INT64."),
    ],
    effects=True,
    doc="An empty map of integers.",
)
declare(
    "KeyValueToMap",
    inputs=2,
    doc="A map from keys to values; of equal keys the first counts.",
    in_doc=["keys: int32 or int64 [N]", "values: int32 or int64 [N]"],
)
declare("MapToKeyValue", inputs=1, outputs=2, doc="The keys of a map, ascending, and their values.", in_doc=["map"])
