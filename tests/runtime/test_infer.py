"""Shapes and types without running."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import serverquant
from serverquant import core, workspace
from serverquant._base.errors import ArgumentError, ShapeError
from serverquant.blobs import dtypes
from serverquant.blobs.spec import Spec
from serverquant.cli import main
from serverquant.proto import NetDef, TensorShapes
from serverquant.runtime.infer import infer, to_message
from serverquant.runtime.workspace import Workspace


@pytest.fixture(autouse=True)
def _fresh():
    workspace.ResetWorkspace()


def net_of(*operators):
    net = NetDef(name="n")
    net.op.extend(core.CreateOperator(*args, **kwargs) for *args, kwargs in operators)
    return net


NETS = [case.name for case in cases.cases() if not case.full_size]


@serverquant.register("InferTestOpen", replace=True)
def unknown_outputs(x):
    return x


@pytest.mark.parametrize("name", NETS)
def test_what_is_inferred_is_what_a_run_makes(name):
    case = cases.case(name)
    with serverquant.load(case.init_path(), case.predict_path, keep_blobs=True) as predict:
        inferred = predict.infer(case.inputs())
        predict(case.inputs())
        last = {n: spec for item in inferred for n, spec in zip(item.definition.outputs, item.outs or ())}
        assert last
        for name, spec in last.items():
            assert predict._context()[0].get(name).spec().same_type(spec), name


def test_blob_dimensions_and_types():
    net = net_of(("FC", ["X", "W", "b"], ["Y"], {}), ("Cast", ["I"], ["J"], {"to": 1}), ("Relu", ["lost"], ["too"], {}))
    dims = {"X": [4, 8], "W": [5, 8], "b": [5], "I": [3]}
    shapes, types = workspace.InferShapesAndTypes([core.Net(net)], dims, blob_types={"I": dtypes.INT32})
    assert shapes == {**dims, "Y": [4, 5], "J": [3]}
    assert types["I"] == dtypes.INT32
    assert types["J"] == types["Y"] == dtypes.FLOAT


def test_objects_are_told_of_as_in_caffe2():
    net = net_of(
        ("Int8QuantSchemeBlobFill", [], ["scheme"], {}),
        ("Int8GenQuantParams", ["X", "given"], ["params"], {}),
        ("Int8FC", ["X", "W", "b", "params"], ["Y"], {"engine": "DNNLOWP", "dequantize_output": 1}),
        ("Int8FC", ["X", "W", "b", "told"], ["Z"], {"engine": "DNNLOWP", "dequantize_output": 1}),
    )
    dims = {"X": [4, 8], "W": [5, 8], "b": [5], "given": [1], "told": [1]}
    shapes, types = workspace.InferShapesAndTypes([core.Net(net)], dims, blob_types={"given": dtypes.STRING})
    assert shapes == {**dims, "scheme": [1], "params": [1], "Y": [4, 5], "Z": [4, 5]}
    assert (types["scheme"], types["params"], types["Y"], types["Z"]) == (dtypes.STRING, *[dtypes.FLOAT] * 3)


def test_the_workspaces_blobs():
    workspace.FeedBlob("X", np.zeros((2, 6), np.float32))
    workspace.FeedBlob("how", np.array([3, 4]))
    net = net_of(("Reshape", ["X", "how"], ["Y", "old"], {}))
    shapes, types = workspace.InferShapesAndTypes([core.Net(net)])
    assert (shapes["Y"], shapes["old"], types["old"]) == ([3, 4], [2], dtypes.INT64)
    assert workspace.Blobs() == ["X", "how"]


def test_integers_of_fills_are_shapes_too():
    init = net_of(("GivenTensorInt64Fill", [], ["how"], {"shape": [2], "values": [3, -1]}))
    net = net_of(("Reshape", ["X", "how"], ["Y", "old"], {}), ("Relu", ["Y"], ["Z"], {}))
    found = infer([init, net], {"X": Spec((2, 6))}, Workspace())
    assert found["Z"].dims == (3, 4)


def test_unknown_shapes_are_marked_and_not_fatal():
    net = net_of(
        ("InferTestOpen", ["I"], ["U"], {}),
        ("Relu", ["U"], ["V"], {}),
        ("Relu", ["X"], ["Y"], {}),
        ("Reshape", ["X"], ["bad", "old"], {"shape": [5, -1]}),
        ("Relu", ["bad"], ["worse"], {}),
    )
    net.op.add(type="NoSuchOperator", input=["X"], output=["none"])
    known = {"X": Spec((4, 8)), "I": Spec((3,), dtypes.INT32)}
    faults = []
    found = infer([net], known, Workspace(), faults)
    assert found.keys() == {"X", "I", "Y"}
    assert [str(f).split(" ")[0] for f in faults] == ["Reshape", "NoSuchOperator"]
    with pytest.raises(ShapeError, match=r'Reshape \(op 3 of net "n"\)'):
        infer([net], known, Workspace())
    with pytest.warns(UserWarning, match="shape"):
        assert workspace.InferShapesAndTypes([core.Net(net)], {"X": [4, 8]})[0] == {"X": [4, 8], "Y": [4, 8]}
    message = to_message(found, ["U", "bad"])
    assert isinstance(message, TensorShapes)
    assert [(s.name, list(s.dims), s.unknown_shape) for s in message.shapes] == [
        ("I", [3], False), ("U", [], True), ("X", [4, 8], False), ("Y", [4, 8], False), ("bad", [], True)
    ]


def test_nothing_is_run():
    ran = []

    @serverquant.register("InferTestSpy", replace=True, inputs=1, outputs=1, shape=lambda op, ins: [ins[0].dims])
    class Spy(serverquant.PythonOperator):
        def run(self, inputs, outputs):
            ran.append(1)

    assert infer([net_of(("InferTestSpy", ["X"], ["Y"], {}))], {"X": Spec((2,))}, Workspace())["Y"].dims == (2,)
    assert not ran


def test_predictors_check_names():
    case = cases.case("digits24")
    with serverquant.load(case.init_path(), case.predict_path) as predict:
        assert predict.infer({"data": (7, 1, 24, 24)})[0].outs[0].dims == (7, 24, 12, 12)
        assert predict.infer({})[0].outs is None
        with pytest.raises(ArgumentError, match="did you mean data"):
            predict.infer({"dat": (1, 1, 24, 24)})


def test_inspect_says_what_cannot_run(capsys):
    case = cases.case("digits24")
    files = [str(case.init_path()), str(case.predict_path)]
    assert main(["inspect", *files, "--shape", "1x5x24x24"]) == 0
    text = capsys.readouterr().out
    assert "cannot run     Conv (op 0 of net" in text
    assert "?" in text
