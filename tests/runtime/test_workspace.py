"""Caffe2's workspace API."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import DTypeError, MissingBlobError, NetError, QuantizationError, ServerquantError
from serverquant.runtime.workspace import Workspace


@pytest.fixture(autouse=True)
def fresh():
    workspace.SwitchWorkspace("default")
    workspace.ResetWorkspace()


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_feed_and_fetch_every_type(dtype, shape):
    value = (np.arange(int(np.prod(shape))).reshape(shape) % 2).astype(dtype)
    assert workspace.FeedBlob("X", value)
    got = workspace.FetchBlob("X")
    assert got.dtype == value.dtype
    assert got.shape == value.shape
    np.testing.assert_array_equal(got, value)


def test_fetch_copies():
    value = np.ones(3, np.float32)
    workspace.FeedBlob("X", value)
    value[:] = 2
    got = workspace.FetchBlob("X")
    got[:] = 3
    assert workspace.FetchBlob("X").tolist() == [1, 1, 1]


def test_strings():
    workspace.FeedBlob("S", np.array([["a", "bc"]], dtype=object))
    assert workspace.FetchBlob("S").tolist() == [[b"a", b"bc"]]


def wants_large_pages(blob):
    """Whether the middle of a blob's memory has been marked for large pages."""
    at = workspace.current().get(blob).view()
    address, inside = at.ctypes.data + at.nbytes // 2, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if mapping := re.match("([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(mapping[1], 16) <= address < int(mapping[2], 16)
        if inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    raise AssertionError("no mapping has this address")


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="this system has no large pages")
def test_large_tables_ask_for_large_pages():
    workspace.FeedBlob("table", np.zeros(64 << 20, np.uint8))  # more than malloc ever takes from its heap
    assert wants_large_pages("table")


def test_int8_blob():
    workspace.FeedInt8Blob("Q", np.array([1, 2], np.uint8), 0.5, 3)
    data, scale, zero_point = workspace.FetchInt8Blob("Q")
    assert (data.tolist(), scale, zero_point) == ([1, 2], 0.5, 3)
    with pytest.raises(DTypeError, match=r'"Q".*FetchInt8Blob'):
        workspace.FetchBlob("Q")
    workspace.FeedBlob("X", np.zeros(1, np.float32))
    with pytest.raises(DTypeError, match='"X"'):
        workspace.FetchInt8Blob("X")


@pytest.mark.parametrize(
    ("scale", "zero_point"), [(0.0, 0), (-1.0, 0), (float("nan"), 0), (float("inf"), 0), (1.0, 256), (1.0, -1)]
)
def test_bad_parameters_leave_the_blob_alone(scale, zero_point):
    workspace.FeedInt8Blob("Q", np.array([7], np.uint8), 0.5, 3)
    with pytest.raises(QuantizationError):
        workspace.FeedInt8Blob("Q", np.array([1], np.uint8), scale, zero_point)
    assert workspace.FetchInt8Blob("Q").data.tolist() == [7]


def test_missing_and_empty_blobs():
    workspace.FeedBlob("weights", np.zeros(1))
    with pytest.raises(MissingBlobError, match="did you mean weights"):
        workspace.FetchBlob("weight")
    workspace.CreateBlob("E")
    assert workspace.HasBlob("E")
    with pytest.raises(MissingBlobError, match="empty"):
        workspace.FetchBlob("E")


def test_blobs_mapping():
    workspace.blobs["X"] = np.arange(3)
    assert workspace.blobs["X"].tolist() == [0, 1, 2]
    assert list(workspace.blobs) == workspace.Blobs() == ["X"]
    del workspace.blobs["X"]
    assert not workspace.HasBlob("X")


def test_workspaces_are_apart():
    workspace.FeedBlob("X", np.zeros(1))
    workspace.SwitchWorkspace(b"other", True)
    assert workspace.CurrentWorkspace() == "other"
    assert not workspace.HasBlob("X")
    workspace.SwitchWorkspace("default")
    assert workspace.HasBlob("X")
    with pytest.raises(NetError, match='"nowhere"'):
        workspace.SwitchWorkspace("nowhere")


def relu_net(name="relu"):
    net = core.Net(name)
    net.AddExternalInput("X")
    net.AddExternalOutput(net.Relu("X", "Y"))
    return net


def test_nets_by_name():
    workspace.FeedBlob("X", np.array([-1, 2], np.float32))
    net = relu_net()
    workspace.CreateNet(net)
    assert net.Name() in workspace.Nets()
    with pytest.raises(NetError, match="already"):
        workspace.CreateNet(net)
    workspace.CreateNet(net, overwrite=True)
    assert workspace.RunNet(net.Name(), num_iter=2)
    assert workspace.RunNet(net)
    assert workspace.FetchBlob("Y").tolist() == [0, 2]
    assert len(workspace.BenchmarkNet(net.Name(), 1, 2, True)) == 2
    assert workspace.DeleteNet(net.Name())
    with pytest.raises(NetError, match="no net"):
        workspace.RunNet(net.Name())


def test_allow_fail():
    workspace.FeedBlob("X", np.zeros(2, np.float32))
    net = relu_net()
    workspace.CreateNet(net)
    workspace.FeedBlob("X", np.zeros(2, np.int32))
    assert not workspace.RunNet(net, allow_fail=True)
    with pytest.raises(DTypeError):
        workspace.RunNet(net)


def test_removed_blob_comes_back():
    workspace.FeedBlob("X", np.array([-1, 2], np.float32))
    net = relu_net()
    workspace.CreateNet(net)
    workspace.RunNet(net)
    workspace.RemoveBlob("X")
    with pytest.raises(MissingBlobError, match='"X"'):
        workspace.RunNet(net)
    workspace.FeedBlob("X", np.array([5], np.float32))
    workspace.RunNet(net)
    assert workspace.FetchBlob("Y").tolist() == [5]


def test_run_operators_once():
    workspace.FeedBlob("X", np.array([-1, 2], np.float32))
    operators = [core.CreateOperator("Relu", "X", "Y"), core.CreateOperator("Copy", ["Y"], ["Z"])]
    assert workspace.RunOperatorsOnce(operators)
    assert workspace.RunOperatorOnce(operators[0])
    assert workspace.FetchBlobs(["Y", "Z"])[1].tolist() == [0, 2]


def test_registered_operators():
    assert {"Relu", "Int8Conv", "GivenTensorFill"} <= set(workspace.RegisteredOperators())


def test_global_init_may_be_repeated():
    assert workspace.GlobalInit(["caffe2", "--caffe2_log_level=0"])
    assert workspace.GlobalInit(["caffe2", "--nobody_knows_this=1"])


# ---- looking without running -----------------------------------------------------------------------------------------


def test_shapes_and_types_are_inferred_without_running():
    net = core.Net("net")
    net.FC(["x", "w", "b"], "fc")
    net.Python(lambda inputs, outputs: None)(["fc"], ["unknown"])
    net.Relu("unknown", "behind")
    net.Shape("fc", "shape")
    shapes, types = workspace.InferShapesAndTypes([net], {"x": [5, 3], "w": [2, 3], "b": [2]})
    assert shapes == {"x": [5, 3], "w": [2, 3], "b": [2], "fc": [5, 2], "shape": [2]}
    assert types["shape"] == core.DataType.INT64
    workspace.FeedBlob("x", np.zeros((7, 3), np.float32))
    for name, value in (("w", np.zeros((2, 3))), ("b", np.zeros(2))):
        workspace.FeedBlob(name, value.astype(np.float32))
    assert workspace.InferShapesAndTypes([net])[0]["fc"] == [7, 2]
    assert not workspace.HasBlob("fc")
    with pytest.warns(UserWarning, match=r"FC \(op 0"):
        shapes, _ = workspace.InferShapesAndTypes([net], {"x": [5, 4], "w": [2, 3], "b": [2]})
    assert shapes == {"x": [5, 4], "w": [2, 3], "b": [2]}


def test_floats_are_watched_on_request():
    net = core.Net("net")
    net.Div(["one", "zero"], "y")
    workspace.FeedBlob("one", np.float32([1]))
    workspace.FeedBlob("zero", np.float32([0]))
    workspace.RunNetOnce(net)
    workspace.GlobalInit(["x", "--caffe2_operator_throw_if_fp_exceptions=1"])
    try:
        with pytest.raises(ServerquantError, match=r'Div \(op 0 of net "net.*made infinity in "y" of numbers'):
            workspace.RunNetOnce(net)
        workspace.FeedBlob("one", np.float32([np.inf]))
        workspace.RunNetOnce(net)
    finally:
        workspace.GlobalInit(["x", "--caffe2_operator_throw_if_fp_exceptions=0"])


def test_random_inputs():
    net = core.Net("net")
    net.Add(["a", "b"], "c")
    net.Add(["c", "d"], "e")
    workspace.FillRandomNetworkInputs(net, [[(2, 3), (2, 3)], [(1,), (4,)]], [["float", "int"], ["float", "double"]])
    assert workspace.FetchBlob("b").dtype == np.int32
    assert workspace.FetchBlob("d").shape == (4,)
    assert not workspace.HasBlob("c")
    with pytest.raises(ServerquantError, match="reads 2 blobs, but there are 1 shapes"):
        workspace.FillRandomNetworkInputs(net, [[(2,)]], [["float"]])


def test_costs():
    workspace.FeedBlob("x", np.zeros((4, 3), np.float32))
    workspace.FeedBlob("w", np.zeros((5, 3), np.float32))
    workspace.FeedBlob("b", np.zeros(5, np.float32))
    op = core.CreateOperator("FC", ["a", "b", "c"], "y")
    assert workspace.GetOperatorCost(op, ["x", "w", "b"]) == (4 * 5 * 3 * 2, 4 * 5 * 4)


def test_text_and_bytes_are_kept_as_they_are():
    for value, want in (("text", b"text"), (b"zero \0", b"zero \0")):
        workspace.FeedBlob("s", value)
        assert workspace.FetchBlob("s") == want
        blob = workspace.current().get("s")
        workspace.current().create("copy").deserialize(blob.serialize("s"))
        assert workspace.FetchBlob("copy") == want


def test_blobs_travel_as_messages():
    for value in (np.float32([[1, 2]]), np.array([b"a", b"bc"], object), np.array(True)):
        workspace.FeedBlob("x", value)
        workspace.current().create("y").deserialize(workspace.current().get("x").serialize("x"))
        assert workspace.FetchBlob("y").tolist() == value.tolist()
    workspace.FeedInt8Blob("q", np.uint8([[1, 2]]), 0.5, 3)
    workspace.current().create("r").deserialize(workspace.current().get("q").serialize("q"))
    assert workspace.FetchInt8Blob("r").scale == 0.5


def test_an_object_is_the_current_workspace_inside():
    space, before = Workspace(), workspace.CurrentWorkspace()
    with workspace.inside(space):
        workspace.FeedBlob("only_inside", np.zeros(1, np.float32))
        assert "only_inside" in space
    with pytest.raises(ZeroDivisionError), workspace.inside(space):
        raise ZeroDivisionError
    assert workspace.CurrentWorkspace() == before
    assert not workspace.HasBlob("only_inside")
    assert len(workspace.Workspaces()) == len({*workspace.Workspaces()})
