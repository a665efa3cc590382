"""Strings, hashes, dictionaries."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import ArgumentError, DTypeError, ServerquantError


@pytest.fixture(autouse=True)
def _fresh_workspace():
    workspace.ResetWorkspace()


def run(op_type, inputs, outputs=("y",), **kwargs):
    names = []
    for i, value in enumerate(inputs):
        names.append(value if isinstance(value, str) else f"x{i}")
        if not isinstance(value, str):
            workspace.FeedBlob(names[-1], value)
    workspace.RunOperatorOnce(core.CreateOperator(op_type, names, list(outputs), **kwargs))
    found = [workspace.FetchBlob(name) for name in outputs]
    return found if len(found) > 1 else found[0]


TEXTS = np.array([b"abcdef", b"ab", b""], object)


@pytest.mark.parametrize(
    ("op_type", "arguments", "want"),
    [
        ("StringPrefix", {"length": 3}, [b"abc", b"ab", b""]),
        ("StringSuffix", {"length": 3}, [b"def", b"ab", b""]),
        ("StringSuffix", {"length": 0}, [b"", b"", b""]),
        ("StringStartsWith", {"prefix": "ab"}, [True, True, False]),
        ("StringEndsWith", {"suffix": "f"}, [True, False, False]),
        ("StringEquals", {"text": "ab"}, [False, True, False]),
    ],
)
def test_strings(op_type, arguments, want):
    assert run(op_type, [TEXTS], **arguments).tolist() == want


def test_join():
    x = np.float32([[0.5, 1.5], [1e-7, 1234567]])
    assert run("StringJoin", [x]).tolist() == [b"0.5,1.5,", b"1e-07,1.23457e+06,"]
    assert run("StringJoin", [x.astype(bool)], axis=1, delimiter=";").tolist() == [b"1;1;", b"1;1;"]
    assert run("StringJoin", [TEXTS], delimiter="").tolist() == TEXTS.tolist()


@pytest.mark.parametrize(("dtype", "want"), [(np.int64, [22, 52]), (np.int32, [62, 24])])
def test_index_hash(dtype, want):
    """Numbers of real Caffe2."""
    assert run("IndexHash", [np.array([[1, -2]], dtype)], seed=3, modulo=100).tolist() == [want]
    with pytest.raises(ArgumentError, match="modulo is 0"):
        run("IndexHash", [np.array([1], dtype)])


def test_key_split():
    found = run("KeySplit", [np.int64([2, 0, 2])], ["a", "b", "c"], categorical_limit=3)
    assert [part.tolist() for part in found] == [[1], [], [0, 2]]
    with pytest.raises(ArgumentError, match="element 5 is none of 0 to 2"):
        run("KeySplit", [np.int64([2, 5])], ["a", "b", "c"], categorical_limit=3)


@pytest.mark.parametrize(
    ("create", "keys"),
    [
        ("IntIndexCreate", np.int32([7, 8, 9])),
        ("LongIndexCreate", np.int64([7, 8, 9])),
        ("StringIndexCreate", np.array([b"x", b"y", b"z"], object)),
    ],
)
def test_index(create, keys):
    run(create, [], ["index"], max_elements=4)
    run("IndexLoad", ["index", keys[:2]], ["index"])
    assert run("IndexGet", ["index", keys[[1, 2, 1]]]).tolist() == [2, 3, 2]
    assert run("IndexSize", ["index"]) == 4
    assert run("IndexStore", ["index"]).tolist() == keys.tolist()
    blob = workspace.current().get("index")
    workspace.current().create("copy").deserialize(blob.serialize("index"))
    run("IndexFreeze", ["copy"], ["copy"])
    assert run("IndexGet", ["copy", keys[:1]]).tolist() == [1]
    run("IndexLoad", ["copy", keys], ["copy"], skip_first_entry=1)
    assert run("IndexGet", ["copy", keys]).tolist() == [0, 1, 2]


def test_index_errors():
    run("IntIndexCreate", [], ["index"], max_elements=2)
    with pytest.raises(ServerquantError, match="the index is full: max_elements is 2"):
        run("IndexGet", ["index", np.int32([1, 2])])
    with pytest.raises(DTypeError, match="keys of the index are int32"):
        run("IndexGet", ["index", np.int64([1])])
    run("IntIndexCreate", [], ["other"])
    with pytest.raises(ServerquantError, match="there twice"):
        run("IndexLoad", ["other", np.int32([1, 1])], ["other"])


def test_map():
    run("KeyValueToMap", [np.int64([3, 1, 3]), np.int32([5, 6, 7])], ["map"])
    blob = workspace.current().get("map")
    workspace.current().create("copy").deserialize(blob.serialize("map"))
    keys, values = run("MapToKeyValue", ["copy"], ["k", "v"])
    assert (keys.tolist(), values.tolist(), values.dtype) == ([1, 3], [6, 5], np.int32)
    run("CreateMap", [], ["empty"])
    assert run("MapToKeyValue", ["empty"], ["k", "v"])[0].size == 0
    with pytest.raises(ArgumentError, match="expected INT32 or INT64"):
        run("CreateMap", [], ["empty"], key_dtype=1)
