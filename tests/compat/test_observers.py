"""Observers of nets through Caffe2's extension, and parameters from their files. What files hold is what Caffe2 1.8.1
writes there."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serverquant import core, workspace
from serverquant._base.errors import ServerquantError
from serverquant.compat.caffe2.quantization.server import dnnlowp_pybind11 as extension
from serverquant.proto import NetDef
from serverquant.quantization.caffe2_files import read
from serverquant.runtime.observe import on_creation
from serverquant.runtime.workspace import Workspace

ROOT = Path(__file__).parents[2]
EMPTY = "3.40282e+38 -3.40282e+38"


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """Each test in a folder and a workspace of its own."""
    monkeypatch.chdir(tmp_path)
    with workspace.inside(Workspace()):
        yield
        extension.ClearNetObservers()
        workspace.ResetWorkspace()


def feed(x=((1, 2), (3, 4)), w=((5, 6), (7, 8))):
    workspace.FeedBlob("X", np.array(x, np.float32))
    workspace.FeedBlob("W", np.array(w, np.float32))
    workspace.FeedBlob("b", np.array([0, 1], np.float32))


def made(kind: str = "") -> NetDef:
    net = NetDef(name="net", type=kind)
    net.op.append(core.CreateOperator("FC", ["X", "W", "b"], ["Y"]))
    net.op.append(core.CreateOperator("Relu", ["Y"], ["Z"]))
    return net


def run(*values: float) -> None:
    """Run the net on a matrix of each value."""
    for value in values:
        feed(np.full((2, 2), value))
        workspace.RunNet("net")


def counts(path: str) -> list[tuple[str, dict[int, int]]]:
    """For each line what is in front of the counts, and the counts that are not 0."""
    found = []
    for line in Path(path).read_text().splitlines():
        words = line.split()
        bins = [int(word) for word in words[7:]]
        assert len(bins) == int(words[6])
        found.append((" ".join(words[:7]), {i: n for i, n in enumerate(bins) if n}))
    return found


# ---- ranges -------------------------------------------------------------------------------------------------------


def test_ranges_are_written_when_the_net_goes():
    extension.ObserveMinMaxOfOutput("net.minmax")
    feed()
    workspace.CreateNet(made())
    workspace.RunNet("net")
    assert os.listdir() == []
    workspace.ResetWorkspace()
    assert Path("net.minmax").read_text() == "0 FC 0 Y 17 54\n1 Relu 0 Z 17 54\n"
    assert os.listdir() == ["net.minmax"]


@pytest.mark.parametrize(("name", "numbered"), [("m.n.o", "m.n_{}.o"), ("plain", "plain_{}"), (".m", "_{}.m")])
def test_ranges_of_some_runs_on_the_way(name, numbered):
    os.mkdir("folder.x")
    extension.ObserveMinMaxOfOutput(f"folder.x/{name}", dump_freq=2, delimiter=",")
    feed()
    workspace.CreateNet(made())
    run(0, 1, 2, 3, 4)
    files = {path.name: path.read_text() for path in Path("folder.x").iterdir()}
    assert files == {
        numbered.format(1): "0,FC,0,Y,0,16\n1,Relu,0,Z,0,16\n",
        numbered.format(2): "0,FC,0,Y,22,46\n1,Relu,0,Z,22,46\n",
    }
    workspace.ResetWorkspace()
    assert Path("folder.x", name).read_text() == "0,FC,0,Y,0,61\n1,Relu,0,Z,0,61\n"  # of all five runs


@pytest.mark.parametrize("kind", ["simple", "dag", "async_scheduling", "planned"])
def test_types_of_nets(kind):
    extension.ObserveMinMaxOfOutput("all")
    feed()
    workspace.CreateNet(made(kind))
    run(2)
    workspace.ResetWorkspace()
    lines = Path("all").read_text().splitlines()
    assert lines[1] == "1 Relu 0 Z 22 31"
    assert lines[0] in ("0 FC 0 Y 22 31", f"0 FC 0 Y {EMPTY}")  # a planned net may have no Y


# ---- which nets, and until when ------------------------------------------------------------------------------------


def test_only_nets_made_later_are_observed():
    feed()
    workspace.CreateNet(made())
    extension.ObserveMinMaxOfOutput("all")
    workspace.RunNet("net")
    workspace.RunOperatorOnce(core.CreateOperator("Relu", ["X"], ["R"]))
    workspace.current().run_once(NetDef(name="other", op=[core.CreateOperator("Copy", ["X"], ["C"])]))
    assert Path("all").read_text() == "0 Copy 0 C 1 4\n"
    extension.ClearNetObservers()
    os.remove("all")
    workspace.RunNetOnce(made())
    workspace.ResetWorkspace()
    assert os.listdir() == []


def test_a_net_that_is_deleted_or_replaced():
    extension.ObserveMinMaxOfOutput("all")
    feed()
    workspace.CreateNet(made())
    workspace.RunNet("net")
    workspace.CreateNet(made(), overwrite=True)
    assert Path("all").read_text().startswith("0 FC 0 Y 17 54")
    workspace.DeleteNet("net")
    assert Path("all").read_text().startswith(f"0 FC 0 Y {EMPTY}")


def test_a_workspace_that_nobody_holds_any_more():
    space = Workspace(workspace.current())
    feed()
    with workspace.inside(space):
        workspace.CreateNet(made())
        extension.AddHistogramObserver("net", "hist")
        workspace.RunNet("net")
    del space
    gc.collect()
    assert [words for words, _ in counts("hist")] == ["0 FC 0 Y 17 54 2048", "1 Relu 0 Z 17 54 2048"]


def test_the_program_ends(tmp_path):
    program = """if True:
        import numpy as np
        from serverquant import core, workspace
        from serverquant.compat.caffe2.quantization.server import dnnlowp_pybind11
        workspace.FeedBlob("X", np.float32([[1, -2]]))
        net = core.Net("net")
        net.Relu("X", "Y")
        workspace.CreateNet(net)
        dnnlowp_pybind11.AddOutputColumnMaxHistogramObserver("net", "columns", ["Y"], bin_nums=2)
        workspace.RunNet(net)
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONPATH": path})
    assert Path("columns").read_text() == "0 0 Y 0 1 1 2 1 0\n0 0 Y 1 0 0 2 1 0\n"


# ---- histograms ---------------------------------------------------------------------------------------------------


def test_histograms():
    extension.ObserveHistogramOfOutput("h.hist", dump_freq=2)
    feed()
    workspace.CreateNet(made())
    run(0, 1, 2, 3, 4)
    bins = {0: 2, 127: 2, 1408: 2, 2047: 2}
    assert counts("h_1.hist") == [(f"{op} 0 16 2048", bins) for op in ("0 FC 0 Y", "1 Relu 0 Z")]
    bins = {0: 2, 767: 1, 768: 1, 938: 2, 2047: 2}
    assert counts("h_2.hist") == [(f"{op} 22 46 2048", bins) for op in ("0 FC 0 Y", "1 Relu 0 Z")]
    workspace.ResetWorkspace()  # what is left: unlike ranges, histograms have no totals
    assert counts("h.hist")[0] == ("0 FC 0 Y 44 61 2048", {0: 2, 2047: 2})
    assert read("h.hist")[0].counts.sum() == 4


def test_an_observer_of_a_net_writes_when_asked():
    feed()
    workspace.CreateNet(made())
    observer = extension.AddHistogramObserver("net", "h.hist", delimiter="\t")
    workspace.RunNet("net")
    extension.DumpHistogramFile(observer)
    text = Path("h.hist").read_text()
    assert text.startswith("0\tFC\t0\tY\t17\t54\t2048\t1\t0")
    run(1)
    extension.DumpHistogramFile(ob=observer)
    assert counts("h.hist")[1] == ("1 Relu 0 Z 11 16 2048", {0: 2, 2047: 2})
    workspace.ResetWorkspace()
    assert [line.lo > line.hi for line in read("h.hist")] == [True, True]


def test_files_of_several_nets():
    extension.ObserveHistogramOfOutput("h.hist", mul_nets=True)
    feed()
    for name in ("a", "b"):
        net = made()
        net.name = name
        workspace.RunNetOnce(net)
        workspace.CreateNet(net)
    workspace.ResetWorkspace()
    assert len(os.listdir()) == 4
    assert all(re.fullmatch(r"h\.hist\.0x[0-9a-f]+", name) for name in os.listdir())


def test_a_filter_by_operator():
    feed()
    extension.ObserveHistogramOfOutput("conv", op_filter="Conv")
    extension.ObserveHistogramOfOutput("relu", op_filter="Relu")
    workspace.RunNetOnce(made())
    assert os.listdir() == ["relu"]
    assert len(counts("relu")) == 2  # of all operators


def test_what_is_counted():
    """Floats, and integers of 32 and 64 bits; others have empty lines."""
    net = core.Net("types")
    for name, kind in (("i", "INT32"), ("l", "INT64"), ("u", "UINT8"), ("d", "DOUBLE")):
        net.Cast("X", name, to=getattr(core.DataType, kind))
    net.Concat(["X", "X"], ["c", "sizes"], axis=0)
    net.Int8Quantize("X", "q", engine="DNNLOWP", Y_scale=0.1, Y_zero_point=3)
    feed()
    workspace.CreateNet(net)
    extension.AddHistogramObserver(net.Name(), "types")
    workspace.RunNet(net)
    feed(np.zeros((0, 2)))  # empty tensors count nothing
    workspace.RunNet(net)
    workspace.ResetWorkspace()
    bins = {0: 1, 682: 1, 1365: 1, 2047: 1}
    assert counts("types") == [
        ("0 Cast 0 i 1 4 2048", bins),
        ("1 Cast 0 l 1 4 2048", bins),
        (f"2 Cast 0 u {EMPTY} 2048", {}),
        (f"3 Cast 0 d {EMPTY} 2048", {}),
        ("4 Concat 0 c 1 4 2048", {0: 2, 682: 2, 1365: 2, 2047: 2}),
        ("4 Concat 1 sizes 0 2 2048", {0: 2, 2047: 2}),
        (f"5 Int8Quantize 0 q {EMPTY} 2048", {}),
    ]


# ---- columns ------------------------------------------------------------------------------------------------------


def test_largest_magnitudes_of_columns():
    feed(w=((5, 6), (7, -8)))
    workspace.CreateNet(made())
    freq = {"dump_freq": 2, "bin_nums": 4}
    extension.AddOutputColumnMaxHistogramObserver("net", "c.hist", ["Z", "Y"], **freq)
    for i in range(5):
        feed([[i, 1], [-i, 3]], w=((5, 6), (7, -8)))
        workspace.RunNet("net")
    two = {0: 1, 3: 1}
    assert counts("c_1.hist") == [
        ("0 0 Y 0 13 18 4", two),
        ("0 0 Y 1 23 30 4", two),
        ("1 0 Z 0 13 18 4", two),
        ("1 0 Z 1 0 0 4", {0: 2}),
    ]
    workspace.ResetWorkspace()
    assert counts("c.hist") == [  # of all five runs
        ("0 0 Y 0 13 26 4", {0: 2, 1: 1, 2: 1, 3: 1}),
        ("0 0 Y 1 23 51 4", {0: 2, 1: 1, 3: 2}),
        ("1 0 Z 0 13 26 4", {0: 2, 1: 1, 2: 1, 3: 1}),
        ("1 0 Z 1 0 21 4", {0: 2, 1: 1, 2: 1, 3: 1}),
    ]


def test_columns_written_when_asked():
    feed()
    workspace.CreateNet(made())
    observer = extension.AddOutputColumnMaxHistogramObserver("net", "c", [b"Y"], -1, 2)
    workspace.RunNet("net")
    extension.DumpOutputColumnMaxHistogramFile(observer)
    assert Path("c").read_text() == "0 0 Y 0 39 39 2 1 0\n0 0 Y 1 54 54 2 1 0\n"
    extension.DumpOutputColumnMaxHistogramFile(observer)
    assert Path("c").read_text() == ""


def test_blobs_without_columns_end_the_run():
    net = NetDef(name="net", op=[core.CreateOperator("Relu", ["X"], ["Y"])])
    feed(np.ones((2, 2, 2)))
    workspace.CreateNet(net)
    extension.AddOutputColumnMaxHistogramObserver("net", "c", ["Y"])
    with pytest.raises(RuntimeError, match=r'"Y" is 2x2x2, but must be a matrix$'):
        workspace.RunNet("net")
    for _ in range(2):
        feed(np.ones((1, 3)))
        workspace.RunNet("net")
    feed()
    with pytest.raises(RuntimeError, match=r'"Y" is 2x2, but must be a matrix of 3 columns, as before'):
        workspace.RunNet("net")


# ---- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: extension.AddHistogramObserver("nat", "h"), r'no net "nat".*did you mean net'),
        (lambda: extension.AddOutputColumnMaxHistogramObserver("x", "h", ["Y"]), 'no net "x"'),
        (lambda: extension.AddRegisterQuantizationParamsWithHistogramObserver("x", "h"), 'no net "x"'),
        (lambda: extension.AddOutputColumnMaxHistogramObserver("net", "h", ["Yy"]), r'writes "Yy" \(did you mean Y'),
        (lambda: extension.AddOutputColumnMaxHistogramObserver("net", "h", ["Y"], bin_nums=0), "bin_nums is 0"),
        (lambda: extension.AddHistogramObserver("net", "none/h"), "none is no folder to write h to"),
        (lambda: extension.AddHistogramObserver("net", "."), "cannot be written"),
        (lambda: extension.AddHistogramObserver("net", "h", 0), "dump_freq is 0; it must be 1 or more"),
        (lambda: extension.ObserveMinMaxOfOutput("none/h"), "none is no folder"),
        (lambda: extension.ObserveHistogramOfOutput("h", -2), "dump_freq is -2"),
        (lambda: extension.DumpHistogramFile(workspace.current().net("net")), "HistogramObserver is needed"),
        (lambda: extension.DumpOutputColumnMaxHistogramFile(None), "ColumnMaxObserver is needed, not NoneType"),
        (lambda: extension.RegisterQuantizationParams("nothing"), "nothing cannot be read: No such file"),
        (lambda: extension.RegisterQuantizationParams("hist"), r"hist is no file of ranges \(min and max\)"),
        (lambda: extension.RegisterQuantizationParamsWithHistogram("minmax"), "minmax is no file of histograms"),
        (lambda: extension.RegisterQuantizationParamsWithHistogram("empty"), "empty is no file of histograms"),
        (lambda: extension.RegisterQuantizationParams("bad"), "bad, line 1 is no line"),
        (lambda: extension.AddScaleZeroOffsetArgumentsWithHistogram(made().SerializeToString(), "minmax"), "no file"),
        (lambda: extension.AddScaleZeroOffsetArgumentsWithHistogram(b"\xff", "hist"), "NetDef"),
        (lambda: extension.ObserveInt8FCPackedWeights("X", "out"), r'blob "X" holds float 2x2, not PackedLayer'),
        (lambda: extension.ObserveFp16FCPackedWeights("nothing", "out"), 'no blob "nothing"'),
    ],
)
def test_errors(call, text):
    """They are RuntimeErrors, as in Caffe2, and nothing observes afterwards."""
    Path("minmax").write_text("0 FC 0 Y 1 2\n")
    Path("hist").write_text("0 FC 0 Y 1 2 2 1 1\n")
    Path("empty").write_text("")
    Path("bad").write_text("what is this\n")
    feed()
    workspace.CreateNet(made())
    with pytest.raises(RuntimeError, match=text) as found:
        call()
    assert isinstance(found.value, ServerquantError)
    assert not on_creation
    workspace.RunNet("net")


def test_a_folder_that_is_gone():
    """An error of the run that should write there; at the end a warning, when nothing can be done any more."""
    os.mkdir("folder")
    feed()
    workspace.CreateNet(made())
    extension.AddHistogramObserver("net", "folder/h", dump_freq=2)
    workspace.RunNet("net")
    os.rmdir("folder")
    with pytest.raises(RuntimeError, match="folder/h_1 cannot be written: No such file"):
        workspace.RunNet("net")
    with pytest.warns(RuntimeWarning, match="folder/h cannot be written"):
        workspace.ResetWorkspace()
    assert workspace.Nets() == workspace.Blobs() == []


# ---- parameters ---------------------------------------------------------------------------------------------------

RANGES = "0 Copy 0 Xq -5.96503 9.53258\n1 FC 0 Y -70.3607 72.8924\n2 Relu 0 Z 0 72.8924\n3 Copy 0 O 0 72.8924\n"
CHOSEN = [(0.060774944722652435, 98), (0.561776876449585, 125), (0.2858525514602661, 0)]  # by Caffe2
WRITTEN = """\
0 Copy 0 Xq -5.95594 9.54167 0.0607749 98 8
1 FC 0 Y -70.2221 73.031 0.561777 125 8
2 Relu 0 Z 0 72.8924 0.285853 0 8
3 Copy 0 O 0 72.8924 0.285853 0 8
"""


def quantized(engine: str = "DNNLOWP", **arguments) -> NetDef:
    net = NetDef(name="net", external_input=["X", "W", "b"])
    net.op.append(core.CreateOperator("Quantize", ["X"], ["Xq"], engine="DNNLOWP"))
    net.op.append(core.CreateOperator("FC", ["Xq", "W", "b"], ["Y"], engine=engine, **arguments))
    net.op.append(core.CreateOperator("Relu", ["Y"], ["Z"], engine=engine))
    net.op.append(core.CreateOperator("Dequantize", ["Z"], ["O"], engine="DNNLOWP"))
    return net


def params() -> list[tuple[float, int]]:
    return [(float(q.scale), q.zero_point) for q in map(workspace.FetchInt8Blob, ("Xq", "Y"))]


def histograms(text: str) -> str:
    """Ranges with ten values spread evenly."""
    return "".join(f"{line} 5 2 2 2 2 2\n" for line in text.splitlines())


@pytest.mark.parametrize("kind", ["", "dag"])
@pytest.mark.parametrize("arguments", [{}, {"Y_scale": 1.5, "Y_zero_point": 7}])
def test_parameters_by_ranges(arguments, kind):
    Path("ranges").write_text(RANGES)
    feed()
    net = quantized(**arguments)
    net.type = kind
    workspace.CreateNet(net, input_blobs=["X"])
    workspace.RunNet("net")
    assert params() != CHOSEN[:2]
    extension.RegisterQuantizationParams("ranges", qparams_output_file_name="chosen")
    workspace.RunNet("net")
    assert params() != CHOSEN[:2]  # nets made before are left alone
    workspace.CreateNet(net, overwrite=True)
    assert Path("chosen").read_text() == WRITTEN
    for _ in range(2):
        workspace.RunNet("net")
        assert params() == CHOSEN[:2]
    workspace.RunNetOnce(made())  # a net without such operators, which the file is not about
    extension.ClearNetObservers()
    workspace.CreateNet(net, overwrite=True)
    workspace.RunNet("net")
    assert params() != CHOSEN[:2]


def test_parameters_by_histograms():
    Path("hist").write_text(histograms(RANGES))
    feed()
    extension.RegisterQuantizationParamsWithHistogram("hist", False, "chosen")
    workspace.RunNetOnce(quantized())
    assert params() == CHOSEN[:2]
    assert Path("chosen").read_text() == WRITTEN


@pytest.mark.parametrize("runs", [0, 1])
def test_parameters_of_a_net_that_was_made(runs):
    """Observers stay, and what the net keeps from earlier runs is forgotten."""
    Path("hist").write_text(histograms(RANGES))
    feed()
    workspace.CreateNet(quantized())
    extension.AddHistogramObserver("net", "observed")
    for _ in range(runs):
        workspace.RunNet("net")
    extension.AddRegisterQuantizationParamsWithHistogramObserver("net", "hist")
    workspace.RunNet("net")
    assert params() == CHOSEN[:2]
    workspace.ResetWorkspace()
    assert read("observed")[3].counts.sum() == 4 * (runs + 1)


def test_kinds_of_parameters():
    """Arguments decide; test_dnnlowp_pybind11 has what Caffe2 chooses by which kind."""
    Path("hist").write_text("0 Quantize 0 Xq -1 1 10 1 0 0 0 500 500 0 0 0 1\n")

    def chosen(**arguments) -> tuple[float, int]:
        op = core.CreateOperator("Quantize", ["X"], ["Xq"], engine="DNNLOWP", **arguments)
        given = NetDef(op=[op]).SerializeToString()
        done = NetDef.FromString(extension.AddScaleZeroOffsetArgumentsWithHistogram(given, "hist"))
        values = {argument.name: argument for argument in done.op[0].arg}
        return values["Y_scale"].f, values["Y_zero_point"].i

    whole = chosen()
    assert whole == (pytest.approx(2 / 255), 127)
    assert chosen(activation_quantization_kind="p99") == (pytest.approx(0.4 / 255), 127)
    assert chosen(activation_quantization_kind="P99_QUANTIZATION", preserve_activation_sparsity=1)[1] == 128
    assert chosen(force_scale_power_of_two=1)[0] == 2.0**-6
    assert chosen(weight_quantization_kind="p99") == whole
    with pytest.raises(RuntimeError, match='activation_quantization_kind is "best"'):
        chosen(activation_quantization_kind="best")


def test_outputs_that_never_changed():
    Path("hist").write_text(
        f"0 Quantize 0 Xq -3 -3 2 1 1\n1 FC 0 Y 5 5 2 1 1\n2 Relu 0 Z {EMPTY} 2 0 0\n3 Dequantize 0 O -100 -100 2 0 1\n"
    )
    feed()
    extension.RegisterQuantizationParamsWithHistogram("hist", qparams_output_file_name="chosen")
    workspace.RunNetOnce(quantized())
    assert Path("chosen").read_text() == (
        "0 Quantize 0 Xq -3 22.5 0.1 30 8\n1 FC 0 Y 0 25.5 0.1 0 8\n"
        "2 Relu 0 Z 0 25.5 0.1 0 8\n3 Dequantize 0 O -25.5 0 0.1 255 8\n"
    )


def test_arguments_by_histograms():
    """Of first outputs of DNNLOWP operators; those that give floats keep what they have."""
    Path("hist").write_text(histograms(RANGES))

    def arguments(net: NetDef) -> list[dict[str, float]]:
        given = net.SerializeToString()
        done = NetDef.FromString(extension.AddScaleZeroOffsetArgumentsWithHistogram(given, "hist"))
        assert [op.type for op in done.op] == [op.type for op in net.op]
        names = {"Y_scale": "f", "Y_zero_point": "i"}
        return [{a.name: getattr(a, names[a.name]) for a in op.arg if a.name in names} for op in done.op]

    want = [dict(zip(("Y_scale", "Y_zero_point"), pair)) for pair in (*CHOSEN, CHOSEN[-1])]
    assert arguments(quantized()) == want
    assert arguments(quantized(Y_scale=9.0, Y_zero_point=3)) == want
    assert arguments(quantized(dequantize_output=1, Y_scale=9.0))[1] == {"Y_scale": 9.0}
    assert arguments(quantized(engine=""))[1] == {}


def test_parameters_of_another_net():
    feed()
    Path("ranges").write_text(RANGES.replace(" Y ", " V "))
    extension.RegisterQuantizationParams("ranges")
    with pytest.raises(RuntimeError, match=r'operator 1 of net "net" writes "Y" as output 0, where ranges has "V"'):
        workspace.CreateNet(quantized())
    assert not workspace.Nets()
    extension.ClearNetObservers()
    Path("ranges").write_text(RANGES.splitlines()[0] + "\n")
    extension.RegisterQuantizationParams("ranges")
    with pytest.raises(RuntimeError, match="ranges has nothing: it belongs to another net"):
        workspace.CreateNet(quantized())


def test_parameters_of_a_planned_net():
    feed()
    Path("ranges").write_text(RANGES)
    extension.RegisterQuantizationParams("ranges")
    net = quantized()
    net.type = "planned"
    with pytest.raises(RuntimeError, match='net "net" is planned, so its operators cannot be changed'):
        workspace.CreateNet(net)


# ---- packed weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["DNNLOWP", "DNNLOWP_ROWWISE"])
def test_packed_int8_weights(engine):
    weight = np.float32([[-1, 0.5, 1], [2, -3, 0.25]])
    workspace.FeedBlob("W", weight)
    net = core.Net("pack")
    net.Int8FCPackWeight("W", "packed", engine=engine)
    workspace.RunNetOnce(net)
    extension.ObserveInt8FCPackedWeights("packed", "out")
    first, *rows = Path("out").read_text().splitlines()
    numbers = first.split()
    assert len(numbers) == (4 if engine.endswith("ROWWISE") else 2)
    assert re.fullmatch(r"0\.\d{6}", numbers[0])
    scales, zeros = np.float32(numbers[::2]), np.float32(numbers[1::2])
    values = np.array([row.split() for row in rows], np.float32)
    np.testing.assert_allclose(scales[:, None] * (values - zeros[:, None]), weight, atol=0.02)
    with pytest.raises(RuntimeError, match="cannot be written"):
        extension.ObserveInt8FCPackedWeights("packed", "none/out")


def test_packed_weights_of_another_layer():
    workspace.FeedBlob("W", np.ones((2, 1, 1, 3), np.float32))
    net = core.Net("pack")
    net.Int8ConvPackWeight("W", "packed", engine="DNNLOWP", order="NHWC", kernel=1)
    workspace.RunNetOnce(net)
    with pytest.raises(RuntimeError, match=r"packed for Int8Conv.* not weights of a fully connected layer"):
        extension.ObserveInt8FCPackedWeights("packed", "out")


def test_packed_half_weights():
    """Inputs are the lines, outputs the columns."""
    workspace.FeedBlob("W", np.float32([[1, 2.5, 1 / 3], [-4, 70000, 6]]))
    net = core.Net("pack")
    net.FbGemmPack("W", "packed")
    workspace.RunNetOnce(net)
    extension.ObserveFp16FCPackedWeights("packed", "out")
    assert Path("out").read_text() == "1 -4\n2.5 65504\n0.333252 6\n"
