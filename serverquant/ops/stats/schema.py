"""Schemas of the counters."""

from __future__ import annotations

from typing import Any

from serverquant.blobs.spec import Spec
from serverquant.runtime.registry import declare
from serverquant.runtime.schema import Arg, Dims


def nothing(op: Any, ins: list[Spec]) -> list[Dims]:
    """Shape rule of an operator without outputs."""
    return []


HANDLE = "handle: a registry; without it the process's"
declare(
    "StatRegistryCreate",
    inputs=0,
    effects=True,
    doc="A registry of counters, empty.",
    out_doc=["handle: the registry"],
)
declare(
    "StatRegistryUpdate",
    inputs=(2, 3),
    outputs=0,
    shape=nothing,
    effects=True,
    doc="Adds to counters, which start at 0.",
    in_doc=["keys: strings, their names", "values: int64, what is added", HANDLE],
)
declare(
    "StatRegistryExport",
    inputs=(0, 1),
    outputs=3,
    args=[Arg("reset", "bool", True, "counters start at 0 anew")],
    effects=True,
    doc="All counters of a registry.",
    in_doc=[HANDLE],
    out_doc=["keys: strings, names", "values: int64", "timestamps: int64, nanoseconds since 1970"],
)
PUT = [
    Arg("stat_name", "string", None, "name of the counters; the input's name without it"),
    Arg("magnitude_expand", "payload", 1, "values are multiplied by it before they become whole; 64 bits"),
    Arg("bound", "bool", False, "values too large for 64 bits become the largest, NaN 0; else they are errors"),
    Arg("default_value", "float", None, "the value of an empty input, which is an error without it"),
]
for _type, _what in (
    ("IncrementPut", "Adds a value to the counter NAME/stat_value."),
    ("AveragePut", "Adds a value to the counter NAME/stat_value/sum, and 1 to NAME/stat_value/count."),
    (
        "StdDevPut",
        "As AveragePut, and the distance from the first value and its square to .../sumoffset and .../sumsqoffset.",
    ),
):
    declare(
        _type,
        inputs=1,
        outputs=0,
        args=PUT,
        shape=nothing,
        effects=True,
        doc=_what,
        in_doc=["value: the first element counts; float, double, float16 or integer"],
    )
