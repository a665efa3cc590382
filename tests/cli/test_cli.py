"""The command line, called as a function: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import serverquant
from serverquant import core, proto
from serverquant.cli import VERBS, doctor, main
from serverquant.proto.io import load_meta_net, load_net, save

NETS = Path(__file__).resolve().parents[2] / "nets"
INT8 = [str(NETS / "digits24_int8_packed" / f) for f in ("init_net.pb", "predict_net.pb")]
FP32 = [str(NETS / "digits24" / f) for f in ("init_net.pb", "predict_net.pb")]
IMAGES = str(NETS / "digits24" / "inputs.npz")


def answer(capsys, *argv: str) -> dict:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys, *argv: str) -> str:
    assert main(list(argv)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


# ---- run ---------------------------------------------------------------------------------------------------------


def test_run_gives_what_the_predictor_gives(capsys, tmp_path):
    images = np.load(IMAGES)["data"][:3]
    np.save(tmp_path / "x.npy", images)
    assert main(["run", *INT8, "--feed", f"data={tmp_path}/x.npy", "--save", f"{tmp_path}/y.npz"]) == 0
    with serverquant.load(*INT8) as predict:
        want = predict(images)
    saved = np.load(tmp_path / "y.npz")
    assert sorted(saved.files) == sorted(want)
    for name in want:
        np.testing.assert_array_equal(saved[name], want[name])


def test_run_prints_the_largest_classes(capsys):
    assert main(["run", *INT8, "--feed", IMAGES, "--output", "prob"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("prob: float32 (500, 10)")
    assert "[0] largest: 5: " in printed
    assert "492 more rows" in printed


def test_run_saves_an_int8_blob_with_its_parameters(tmp_path, capsys):
    assert main(["run", *INT8, "--shape", "1x1x24x24", "--output", "out_int8", "--save", f"{tmp_path}/y.npz"]) == 0
    saved = np.load(tmp_path / "y.npz")
    assert saved["out_int8"].dtype == np.uint8
    assert saved["out_int8__scale"].dtype == np.float32
    found = answer(capsys, "run", *INT8, "--shape", "1x1x24x24", "--output", "out_int8")["out_int8"]
    assert found["scale"] == saved["out_int8__scale"]
    assert found["data"] == saved["out_int8"].tolist()


def test_random_inputs_follow_the_seed(capsys):
    first = answer(capsys, "run", *FP32, "--shape", "data=1x1x24x24", "--seed", "5")
    assert answer(capsys, "run", *FP32, "--shape", "1x1x24x24", "--seed", "5") == first
    assert answer(capsys, "run", *FP32, "--shape", "1x1x24x24", "--seed", "6") != first


def echo_net(folder: Path, *inputs: str) -> list[str]:
    """Files of a net that copies its inputs to `NAME_out`."""
    net = core.Net("echo")
    for name in inputs:
        net.AddExternalInput(name)
        net.Copy(name, f"{name}_out")
        net.AddExternalOutput(f"{name}_out")
    save(proto.NetDef(name="nothing"), folder / "init.pb")
    save(net.Proto(), folder / "net.pb")
    return [str(folder / "init.pb"), str(folder / "net.pb")]


def test_images_become_inputs(tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    image.fromarray(pixels).save(tmp_path / "a.png")
    nets = echo_net(tmp_path, "x")
    feed = ["--feed", f"x={tmp_path}/a.png"]
    got = answer(capsys, "run", *nets, *feed, "--scale", "0.5", "--mean", "1,2,3", "--std", "2,4,8")["x_out"]
    want = (pixels * np.float32(0.5) - np.float32([1, 2, 3])) / np.float32([2, 4, 8])
    np.testing.assert_array_equal(np.float32(got["data"]), want.transpose(2, 0, 1)[None])
    got = answer(capsys, "run", *nets, *feed, *feed, "--layout", "NHWC", "--color", "bgr")["x_out"]
    np.testing.assert_array_equal(got["data"], np.stack([pixels[..., ::-1]] * 2))
    assert answer(capsys, "run", *nets, *feed, "--color", "gray", "--size", "8x2")["x_out"]["shape"] == [1, 1, 8, 2]


def test_a_json_file_describes_feeds(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", p=np.arange(3), q=np.float32([7]))
    spec = {
        "file": {"path": f"{tmp_path}/a.npz", "key": "q"},
        "list": {"value": [[1, 2]], "dtype": "int32"},
        "floats": {"value": [0.5]},
        "dice": {"random": [2, 3], "dtype": "int64", "low": 4, "high": 4},
        "int8": {"value": [1, 2], "dtype": "uint8", "int8": {"scale": 0.5, "zero_point": 1}},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    found = answer(capsys, "run", *echo_net(tmp_path, *spec), "--spec", f"{tmp_path}/spec.json")
    assert found["file_out"] == {"dtype": "float32", "shape": [1], "data": [7.0]}
    assert found["list_out"] == {"dtype": "int32", "shape": [1, 2], "data": [[1, 2]]}
    assert found["floats_out"]["dtype"] == "float32"
    assert found["dice_out"] == {"dtype": "int64", "shape": [2, 3], "data": [[4] * 3] * 2}
    assert found["int8_out"] == {"dtype": "uint8", "shape": [2], "data": [1, 2], "scale": 0.5, "zero_point": 1}


# ---- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run", "nowhere.pb", "nowhere.pb"], "nowhere.pb: No such file"),
        (["run", *INT8], "needs input data, which the init net does not make: give --feed data=FILE"),
        (["run", *INT8, "--shape", "dat=1x1x24x24"], '"dat" (did you mean data?)'),
        (["run", *INT8, "--shape", "data=1xtwo"], "not a shape"),
        (["run", *INT8, "--shape", "data=1:floot32"], "did you mean float32"),
        (["run", *INT8, "--shape", "data=1x24x24"], "expected 4 dimensions"),
        (["run", *INT8, "--feed", f"data={__file__}"], "not an image"),
        (["run", *INT8, "--shape", "1x1x24x24", "--output", "prop"], "did you mean prob"),
        (["run", *INT8, "--shape", "1x1x24x24", "--save", "x.txt"], ".npz"),
        (["run", __file__, INT8[1]], "is not a NetDef"),
        (["convert", INT8[0], "x.bin"], ".pbtxt"),
        (["bench"], "INIT_NET"),
        (["bench", "--op", "op {"], "not the text"),
        (["bench", "--op", 'op { type: "Relu" input: "x" output: "y" } | x=float32:2xx:0..1'], "x=float32:2xx:0..1"),
        (["bench", *INT8, "--shape", "1x1x24x24", "--runs", "0"], "--runs"),
        (["ops", "Int8Con"], "did you mean Int8Conv"),
        (["kernels", "gem"], "gemm"),
        (["run", *INT8, "--shape", "1x1x24x24", "--threads", "0"], "threads"),
    ],
)
def test_bad_input_gives_one_line_and_status_1(capsys, argv, said):
    assert said in refusal(capsys, *argv)


def test_bad_json_feeds_are_refused(tmp_path, capsys):
    spec = tmp_path / "s.json"
    for text, said in (
        ("{", "is not JSON"),
        ("[]", "s.json"),
        ('{"data": {"pth": 1}}', "did you mean path"),
        ('{"data": {}}', "needs one of"),
    ):
        spec.write_text(text)
        assert said in refusal(capsys, "run", *INT8, "--spec", str(spec))


@pytest.mark.parametrize(
    "argv", [[], ["dance"], ["run"], ["run", *INT8, "--layout", "HWCN"], ["bench", "--runs", "many"]]
)
def test_wrong_usage_has_status_2(capsys, argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2


# ---- inspect -----------------------------------------------------------------------------------------------------


def test_inspect_counts_multiply_adds(capsys):
    found = answer(capsys, "inspect", *FP32, "--shape", "2x1x24x24")
    assert found["operators"][0]["shapes"] == ["2x24x12x12"]
    assert found["operators"][0]["multiply_adds"] == 2 * 24 * 12 * 12 * 9
    assert found["multiply_adds"] == sum(o["multiply_adds"] for o in found["operators"])
    assert found["parameter_bytes"] == sum(4 * int(np.prod(d)) for d in found["parameters"].values())
    int8 = answer(capsys, "inspect", *INT8, "--shape", "2x1x24x24")
    assert int8["multiply_adds"] == found["multiply_adds"]


def test_inspect_text_and_one_file(capsys):
    assert main(["inspect", *FP32, "--shape", "1x1x24x24"]) == 0
    assert "multiply-adds  2.4" in capsys.readouterr().out
    assert main(["inspect", FP32[1]]) == 0
    assert "25 operators" in capsys.readouterr().out


def test_drawings(tmp_path):
    for suffix in ("svg", "dot"):
        assert main(["inspect", *FP32, "--shape", "1x1x24x24", "--draw", f"{tmp_path}/net.{suffix}"]) == 0
    root = ET.parse(tmp_path / "net.svg").getroot()
    assert sum(e.tag.endswith("rect") for e in root) == 25
    assert sum(e.tag.endswith("path") for e in root) == 26  # a chain of 25, and two sums over a branch
    assert (tmp_path / "net.dot").read_text().count("->") == 26


# ---- explain and bench -------------------------------------------------------------------------------------------


def test_explain_names_engines_and_kernels(capsys):
    found = answer(capsys, "explain", *INT8, "--shape", "1x1x24x24")
    conv = found["operators"][2]
    assert (conv["type"], conv["engine"]) == ("Int8ConvRelu", "DNNLOWP")
    assert conv["packed_bytes"] > 0
    assert all(o["kernel"] for o in found["operators"])
    assert main(["explain", *INT8, "--shape", "1x1x24x24"]) == 0
    assert "Int8ConvRelu" in capsys.readouterr().out


def test_a_refused_engine_is_explained(tmp_path, capsys):
    net = core.Net("refused")
    net.AddExternalInput("x")
    net.Softmax("x", "y", engine="CUDNN")
    net.AddExternalOutput("y")
    nets = echo_net(tmp_path, "unused")
    save(net.Proto(), nets[1])
    assert main(["explain", *nets, "--shape", "2x3"]) == 0
    assert "CUDNN refused: not implemented for this operator" in capsys.readouterr().out


@pytest.mark.parametrize("nets", [FP32, INT8])
def test_every_line_that_explain_prints_can_be_replayed(capsys, nets):
    rows = answer(capsys, "explain", *nets, "--shape", "1x1x24x24")["operators"]
    for row in rows:
        found = answer(capsys, "bench", "--op", row["line"], "--runs", "2", "--warmup", "0")
        assert found["kernel"] == row["kernel"]
        assert found["median_us"] > 0


def test_bench_writes_a_trace_and_lists_blobs(capsys, tmp_path):
    trace = tmp_path / "trace.json"
    found = answer(capsys, "bench", *INT8, "--shape", "1x1x24x24", "--runs", "2", "--trace", str(trace), "--memory")
    names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"Int8ConvRelu", "digits24_predict_int8"} <= names
    assert found["blobs"][0]["bytes"] >= found["blobs"][-1]["bytes"] > 0
    assert main(["bench", *INT8, "--shape", "1x1x24x24", "--runs", "2", "--memory"]) == 0
    assert "written by" in capsys.readouterr().out


def test_bench_of_a_net(capsys):
    found = answer(capsys, "bench", *INT8, "--shape", "1x1x24x24", "--runs", "3", "--warmup", "1")
    assert len(found["operators"]) == 14  # of 19: five run inside the layers beside them
    assert sum(int(t["name"].split()[0]) for t in found["types"]) == 14
    assert found["lower_us"] <= found["median_us"] <= found["upper_us"]
    assert main(["bench", *INT8, "--shape", "1x1x24x24", "--runs", "3", "--by", "type"]) == 0
    printed = capsys.readouterr()
    assert "Int8ConvRelu" in printed.out
    assert printed.err == ""  # no bar where nobody watches


# ---- the others --------------------------------------------------------------------------------------------------


def test_ops_of_one_engine(capsys):
    assert main(["ops", "--engine", "DNNLOWP_ROWWISE_16"]) == 0
    shown = capsys.readouterr().out
    assert "3 types, 3 implementations" in shown
    assert "Int8Conv" not in shown


def test_ops_lists_built_in_and_custom_operators(capsys):
    @serverquant.register("CliTestTwice", replace=True)
    def twice(x):
        return 2 * x

    found = {e["type"]: e for e in answer(capsys, "ops")}
    assert {e["engine"] for e in found["Int8Conv"]["engines"]} == {"", "DNNLOWP", "DNNLOWP_ACC16"}
    assert found["CliTestTwice"]["engines"][0]["body"] == "Python"
    assert found["Int8Conv"]["engines"][0]["file"].startswith("serverquant/ops/conv/")
    assert main(["ops"]) == 0
    assert "native" in capsys.readouterr().out
    assert main(["ops", "Relu"]) == 0
    assert "in place: input 0 as output 0" in capsys.readouterr().out


def test_kernels(capsys):
    rows = answer(capsys, "kernels", "gemm")
    assert {r["isa"] for r in rows} == {"scalar", "avx2", "avx512vnni"}


def test_convert_there_and_back(tmp_path, capsys):
    text, back = str(tmp_path / "net.pbtxt"), tmp_path / "net.pb"
    assert answer(capsys, "convert", FP32[1], text)["kind"] == "NetDef"
    assert main(["convert", text, str(back)]) == 0
    assert load_net(back) == load_net(FP32[1])


def test_convert_a_whole_predictor(tmp_path, capsys):
    meta = proto.MetaNetDef()
    for key, path in zip(("PREDICT_INIT_NET_TYPE", "PREDICT_NET_TYPE"), FP32):
        meta.nets.add(key=key).value.CopyFrom(load_net(path))
    save(meta, tmp_path / "meta.pb")
    assert answer(capsys, "convert", f"{tmp_path}/meta.pb", f"{tmp_path}/meta.pbtxt")["kind"] == "MetaNetDef"
    assert load_meta_net(tmp_path / "meta.pbtxt") == meta


def test_doctor(capsys):
    found = answer(capsys, "doctor")
    assert found["serverquant"] == serverquant.__version__
    assert found["isa"] in ("scalar", "avx2", "avx512vnni")
    assert main(["doctor"]) == 0
    assert "threads" in capsys.readouterr().out


def test_doctor_says_what_brings_a_missing_package(capsys, monkeypatch):
    installed = doctor.version
    monkeypatch.setattr(doctor, "version", lambda name: "" if name == "matplotlib" else installed(name))
    assert any("pip install 'serverquant[report]'" in problem for problem in answer(capsys, "doctor")["problems"])


def test_the_module_runs_and_says_what_it_can():
    run = subprocess.run(
        [sys.executable, "-m", "serverquant.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert all(verb in run.stdout for verb in VERBS)


def test_plain_text_without_rich(monkeypatch, capsys):
    for name in ("rich", "rich.console", "rich.table", "rich.text", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["bench", *INT8, "--shape", "1x1x24x24", "--runs", "2"]) == 0
    assert "share" in capsys.readouterr().out
