"""Schemas of Save and Load."""

from __future__ import annotations

from typing import Any

from serverquant.runtime.registry import declare
from serverquant.runtime.schema import MANY, Arg

_FILE: Any = [
    Arg("db", "string", "", "Path of the file, below the workspace's root folder unless absolute_path."),
    Arg("db_type", "string", "", "minidb, the one kind of file there is."),
    Arg("absolute_path", "bool", False, "db is the whole path."),
]
declare(
    "Save",
    inputs=(1, MANY),
    outputs=0,
    args=[
        *_FILE,
        Arg("strip_prefix", "string", "", "What is taken off the blobs' names."),
        Arg("blob_name_overrides", "strings", (), "Names in the file; all the blobs' own without it."),
        Arg("chunk_size", "int", 0, "Elements of a tensor that go into one record; 0: a million."),
    ],
    effects=True,
    doc="Writes blobs to a file.",
)
declare(
    "Load",
    inputs=(0, MANY),
    outputs=(0, MANY),
    inplace="any",
    args=[
        *_FILE,
        Arg("dbs", "strings", (), "Several files."),
        Arg("load_all", "bool", False, "All blobs of the file, also those that are no outputs."),
        Arg("keep_device", "bool", False, "Has no effect."),
        Arg("add_prefix", "string", "", "What goes before the names in the file."),
        Arg("strip_prefix", "string", "", "What is taken off them first."),
        Arg("source_blob_names", "strings", (), "Names in the file of the outputs; their own without it."),
        Arg("allow_incomplete", "bool", False, "Outputs that the file does not have stay as they are."),
        Arg("shape", "ints", (), "Not used."),
    ],
    effects=True,
    doc="Reads blobs from a file, or from what CreateDB gives.",
)
declare("CreateDB", inputs=0, args=_FILE[:2], effects=True, doc="A file to load from.")
