"""Caffe2's workspace API."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import DTypeError, MissingBlobError, NetError, QuantizationError


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
