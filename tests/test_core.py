"""Building nets in Python, with Caffe2's names and meaning."""

from __future__ import annotations

import numpy as np
import pytest

from serverquant import core, proto, workspace
from serverquant._base.errors import ArgumentError, NetError


@pytest.fixture(autouse=True)
def _fresh_workspace():
    workspace.ResetWorkspace()


def arguments(op) -> dict:
    return {a.name: a for a in op.arg}


# ---- operators ---------------------------------------------------------------------------------------------------


def test_create_operator_takes_every_kind_of_argument():
    inner = core.Net("inner")
    inner.Copy("a", "b")
    op = core.CreateOperator(
        "Anything",
        ["x", core.BlobReference("y")],
        "z",
        name="n",
        engine="DNNLOWP",
        debug_info="here",
        control_input="c",
        i=3,
        f=0.5,
        b=True,
        s="text",
        raw=b"\xff",
        ints=[1, 2],
        floats=[1.0, 2.0],
        strings=["p", b"q"],
        net=inner.Proto(),
        scalar=np.int64(7),
        array=np.float32([1, 2]),
        left_out=None,
        arg=[proto.Argument(name="own", i=9)],
    )
    found = arguments(op)
    assert list(op.input) == ["x", "y"]
    assert list(op.output) == ["z"]
    assert list(op.control_input) == ["c"]
    assert (op.type, op.name, op.engine, op.debug_info) == ("Anything", "n", "DNNLOWP", "here")
    assert (found["i"].i, found["f"].f, found["b"].i, found["s"].s, found["raw"].s) == (3, 0.5, 1, b"text", b"\xff")
    assert list(found["ints"].ints) == [1, 2]
    assert list(found["floats"].floats) == [1.0, 2.0]
    assert list(found["strings"].strings) == [b"p", b"q"]
    assert found["net"].n == inner.Proto()
    assert found["scalar"].i == 7
    assert list(found["array"].floats) == [1.0, 2.0]
    assert found["own"].i == 9
    assert "left_out" not in found


def test_create_operator_gives_caffe2s_bytes_for_a_simple_one():
    op = core.CreateOperator("Relu", "x", "y")
    want = proto.OperatorDef(input=["x"], output=["y"], name="", type="Relu")
    assert op.SerializeToString() == want.SerializeToString()


def test_is_operator():
    assert core.IsOperator("Conv")
    assert not core.IsOperator("Cnov")
    assert core.IsOperatorWithEngine("Int8Conv", "DNNLOWP")
    assert core.IsOperatorWithEngine("Relu", "DEFAULT")
    assert not core.IsOperatorWithEngine("Relu", "CUDNN")


# ---- nets --------------------------------------------------------------------------------------------------------


def test_a_net_is_built_by_calling_it():
    net = core.Net("built")
    y = net.Relu("x", "y")
    assert y == "y"
    assert list(net.Proto().external_input) == ["x"]
    net.AddExternalOutput(y)
    workspace.FeedBlob("x", np.float32([-1, 2]))
    workspace.RunNetOnce(net)
    np.testing.assert_array_equal(workspace.FetchBlob("y"), [0, 2])


def test_names_of_nets_are_unique():
    assert core.Net("unique").Name() == "unique"
    assert core.Net("unique").Name() == "unique_1"
    assert core.Net("unique").Name() == "unique_2"


def test_outputs_may_be_left_out_or_counted():
    net = core.Net("counted")
    one = net.Relu("x")
    again = net.Relu("x")
    assert one != again
    several = net.Split("x", 2) if core.IsOperator("Split") else net.Dropout("x", 2, is_test=1)
    assert isinstance(several, tuple)
    assert len(set(map(str, several))) == 2


def test_an_unknown_operator_names_the_closest():
    with pytest.raises(AttributeError, match="MaxPool"):
        core.Net("typo").MaxPol("x", "y")
    assert not hasattr(core.Net("typo"), "Cnov")


def test_next_names():
    net = core.Net("names")
    assert [net.NextName("a"), net.NextName("a"), net.NextName(), net.NextName("b", 1)] == [
        "names/a",
        "names/a",
        "names_blob_0",
        "names/b:1",
    ]
    assert [str(net.NextBlob("a")) for _ in range(3)] == ["a", "a_auto_0", "a_auto_1"]
    with core.NameScope("s"):
        assert str(net.NextScopedBlob("b")) == "s/b"


def test_external_inputs_and_outputs():
    net = core.Net("ends")
    a, b = net.AddExternalInput("a", "b")
    assert [str(x) for x in net.external_inputs] == ["a", "b"]
    with pytest.raises(NetError, match="already"):
        net.AddExternalInput("a")
    net.Add([a, b], "c")
    net.AddExternalOutputs("c")
    assert net.external_outputs == ["c"]
    with pytest.raises(NetError, match="did you mean c"):
        net.AddExternalOutput("cc")
    with core.NameScope("scope"):
        assert str(net.AddScopedExternalInputs("d")) == "scope/d"


def test_clone_and_append():
    net = core.Net("original")
    net.Relu("x", "y")
    net.AddExternalOutput("y")
    other = net.Clone("copy", blob_remap={"x": "y", "y": "z"})
    assert other.Name() == "copy"
    assert list(other.Proto().external_input) == ["y"]
    net.AppendNet(other)
    assert [op.output[0] for op in net.Proto().op] == ["y", "z"]
    assert list(net.Proto().external_input) == ["x"]
    assert list(net.Proto().external_output) == ["y", "z"]


def test_a_net_from_a_proto_is_a_copy():
    source = core.Net("source")
    source.Relu("x", "y")
    copy = core.Net(source.Proto())
    assert copy.Name() == "source_1"
    copy.Relu("y", "z")
    assert len(source.Proto().op) == 1


# ---- references, scopes, devices ---------------------------------------------------------------------------------


def test_blob_references():
    net = core.Net("references")
    x = net.AddExternalInput("x")
    assert x == "x"
    assert x == core.BlobReference("x")
    assert x != "y"
    assert {x: 1}["x"] == 1
    assert str(x + "_grad") == "x_grad"
    assert str("pre_" + x) == "pre_x"
    assert x.Net() is net
    assert core.BlobReference("a/b").GetUnscopedName() == "b"
    assert x.Relu("y") == "y"
    assert net.Proto().op[0].type == "Relu"
    assert list(net.Proto().op[0].input) == ["x"]
    with pytest.raises(AttributeError):
        _ = x.NoSuchOperator
    with pytest.raises(AttributeError, match="belongs to no net"):
        _ = core.BlobReference("x").Relu


def test_name_scopes_nest():
    assert core.CurrentNameScope() == ""
    with core.NameScope("a"):
        assert core.ScopedName("x") == "a/x"
        with core.NameScope("b"):
            assert str(core.ScopedBlobReference("x")) == "a/b/x"
        with core.NameScope("c", reset=True):
            assert core.ScopedName("x") == "c/x"
    assert core.ScopedName("x") == "x"


def test_devices():
    option = core.DeviceOption(proto.CPU, random_seed=3)
    with core.DeviceScope(option):
        assert core.CreateOperator("Relu", "x", "y").device_option.random_seed == 3
    assert not core.CreateOperator("Relu", "x", "y").HasField("device_option")
    with pytest.raises(ArgumentError, match="CPU"):
        workspace.FeedBlob("x", np.zeros(2), device_option=core.DeviceOption(proto.CUDA))


def test_device_scopes_add_up():
    with core.DeviceScope(core.DeviceOption(extra_info=["a"]), node_name="n"), core.DeviceScope(
        core.DeviceOption(proto.CUDA, extra_info=["b"])
    ) as inner:
        assert list(inner.extra_info) == ["a", "b"]
        assert (inner.node_name, inner.device_type) == ("n", proto.CUDA)
        with core.EmptyDeviceScope():
            assert core.CurrentDeviceScope() is None


def test_data_types():
    assert (core.DataType.FLOAT, core.DataType.INT32, core.DataType.FLOAT16) == (1, 2, 12)
