"""Save and Load."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import ArgumentError, MachineError, MissingBlobError, ParseError

VALUES = {
    "f": np.arange(7, dtype=np.float32).reshape(7, 1),
    "empty": np.zeros((0, 3), np.float32),
    "b": np.array([True, False]),
    "i": np.int64([[1], [2]]),
    "s": np.array([b"one", b"two"], object),
}
# As real Caffe2 has written it: float [[1, 2]] "f", and a counter at 5.
CAFFE2 = (
    b"\x04\x00\x00\x00*\x00\x00\x00f#%0\n\x01f\x12\x06Tensor\x1a\x1d\x08\x01\x08\x02\x10\x01\x1a\x08\x00\x00\x80?\x00\x00"
    b"\x00@:\x01fB\x02\x08\x00Z\x04\x08\x00\x10\x02\x01\x00\x00\x002\x00\x00\x00c\n\x01c\x12!std::unique_ptr<Counter<"
    b"int64_t>>\x1a\n\x08\x01\x10\n:\x01cR\x01\x05"
)


@pytest.fixture(autouse=True)
def _fresh_workspace(tmp_path):
    workspace.ResetWorkspace(str(tmp_path))
    yield
    workspace.ResetWorkspace(".")


def run(*args, **kwargs):
    workspace.RunOperatorOnce(core.CreateOperator(*args, db_type="minidb", **kwargs))


def save(**kwargs):
    for name, value in VALUES.items():
        workspace.FeedBlob(name, value)
    workspace.FeedInt8Blob("q", np.uint8([[1, 2]]), 0.5, 3)
    workspace.FeedBlob("text", b"plain \0")
    run("Save", [*VALUES, "q", "text"], [], db="file", **kwargs)
    names = workspace.Blobs()
    for name in names:
        workspace.RemoveBlob(name)


@pytest.mark.parametrize("chunk", [0, 2, 3])
def test_what_is_saved_comes_back(chunk):
    save(chunk_size=chunk)
    run("Load", [], [*VALUES, "q", "text"], db="file")
    for name, value in VALUES.items():
        found = workspace.FetchBlob(name)
        assert (found.tolist(), found.shape, found.dtype) == (value.tolist(), value.shape, value.dtype)
    assert workspace.FetchInt8Blob("q").zero_point == 3
    assert workspace.FetchBlob("text") == b"plain \0"


def test_names_may_change():
    save()
    run("Load", [], ["p/f"], db="file", add_prefix="p/")
    run("Load", [], ["other"], db="file", source_blob_names=["i"])
    assert workspace.FetchBlob("p/f").shape == (7, 1)
    assert workspace.FetchBlob("other").tolist() == [[1], [2]]
    run("Load", [], [], db="file", load_all=1)
    assert workspace.HasBlob("s")


def test_by_a_database_blob(tmp_path):
    save()
    run("CreateDB", [], ["db"], db=str(tmp_path / "file"))
    run("Load", ["db"], ["b"])
    assert workspace.FetchBlob("b").tolist() == [True, False]


def test_a_file_of_caffe2(tmp_path):
    (tmp_path / "theirs").write_bytes(CAFFE2)
    run("Load", [], ["f", "c"], db="theirs")
    workspace.RunOperatorOnce(core.CreateOperator("RetrieveCount", "c", "n"))
    assert workspace.FetchBlob("f").tolist() == [[1, 2]]
    assert workspace.FetchBlob("n") == 5


def test_errors(tmp_path):
    save()
    with pytest.raises(MissingBlobError, match="the file has no nothing"):
        run("Load", [], ["nothing"], db="file")
    run("Load", [], ["nothing"], db="file", allow_incomplete=1)
    with pytest.raises(MachineError, match="cannot read"):
        run("Load", [], ["f"], db="nowhere")
    data = (tmp_path / "file").read_bytes()
    for wrong in (data[:-1], data[:5], b"\xff" * 40):
        (tmp_path / "wrong").write_bytes(wrong)
        with pytest.raises(ParseError, match="is no minidb file, or is cut short"):
            run("Load", [], ["f"], db="wrong")
    with pytest.raises(ArgumentError, match='db_type is "leveldb"'):
        workspace.RunOperatorOnce(core.CreateOperator("Load", [], ["f"], db="file", db_type="leveldb"))
