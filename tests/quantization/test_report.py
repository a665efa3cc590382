"""The report of a quantized net: its numbers, its text, its page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from small_nets import NETS, conv, nets_of, random

import serverquant
from serverquant import core
from serverquant._base.errors import ArgumentError, MachineError, ParseError, QuantizationError
from serverquant.cli import main
from serverquant.qparams import QParams
from serverquant.quantization.histogram import AlignedHistogram
from serverquant.quantization.report import measure, text
from serverquant.quantization.report.made import Report

f32 = np.float32
FLOAT = NETS / "digits24" / "init_net.pb", NETS / "digits24" / "predict_net.pb"
IMAGES = np.load(NETS / "digits24" / "inputs.npz")["data"]


@pytest.fixture(scope="module")
def digits():
    return serverquant.quantize(*FLOAT, IMAGES[:100], preset="fast", method="p99")


@pytest.fixture(scope="module")
def report(digits):
    return digits.report(IMAGES[:50])


# ---- numbers --------------------------------------------------------------------------------------------------------


def test_rows_pair_operators_by_what_they_compute(report):
    rows = {row["blob"]: row for row in report.numbers["operators"]}
    assert list(rows)[:3] == ["data", "65", "68"]
    assert (rows["data"]["before"], rows["data"]["after"]) == ([], ["NCHW2NHWC", "Int8Quantize"])
    assert (rows["65"]["before"], rows["65"]["after"]) == (["Conv", "Clip"], ["Int8ConvRelu"])
    assert (rows["out"]["before"], rows["out"]["after"]) == (["Flatten", "FC"], ["Int8FC"])
    counted = {when: sum(len(row[when]) for row in rows.values()) for when in ("before", "after")}
    assert counted["after"] == report.numbers["summary"]["operators"]["all"] == len(report.numbers["graph"])
    assert counted["before"] == 25


def test_errors_are_those_of_compare(digits, report):
    found = serverquant.compare(digits.reference, (digits.init, digits.predict), IMAGES[:50])
    rows = {row["blob"]: row for row in report.numbers["operators"]}
    for difference in found:
        row = rows[difference.blob]
        assert row["accumulated"]["sqnr"] == pytest.approx(difference.sqnr, rel=1e-4)
        assert row["alone"]["sqnr"] == pytest.approx(difference.alone.sqnr, rel=1e-4)
    out = report.numbers["summary"]["outputs"]
    assert [o["blob"] for o in out] == ["out"]
    assert (out[0]["rows"], out[0]["top1"]) == (50, found[-1].top1)
    assert report.numbers["samples"] == 50


def test_sizes_and_times(digits, report):
    summary, rows = report.numbers["summary"], report.numbers["operators"]
    with serverquant.load(*FLOAT) as before, serverquant.load(digits.init, digits.predict) as after:
        assert summary["weight_bytes"] == {"before": before.nbytes, "after": after.nbytes}
    assert sum(row["weight_bytes"]["after"] for row in rows) == summary["weight_bytes"]["after"]
    for when in ("before", "after"):
        assert 0 < sum(row["time_us"][when] for row in rows) < 3 * summary["time_us"][when]
    conv_65 = rows[1]
    assert conv_65["output_bytes"]["before"] >= 4 * conv_65["output_bytes"]["after"] > 0
    assert conv_65["kernels"]
    by_name = {row["blob"]: row for row in rows}
    for row in rows:  # its own time, or the work is done by the operators of a row that has one
        place = by_name[row["runs_in"] or row["blob"]]
        assert place["time_us"]["after"] > 0
        assert row["runs_in"] is None or row["time_us"]["after"] == 0
    assert by_name["107"]["runs_in"] == "74"  # Int8Sum in Int8Conv


def test_histograms_and_ranges(digits, report):
    for blob in report.numbers["blobs"]:
        seen = digits.statistics.blobs[blob["blob"]].histogram
        bins = blob["histogram"]
        assert sum(bins["counts"]) == seen.total
        assert len(bins["counts"]) <= measure.BINS
        assert bins["lo"] <= seen.lo
        assert bins["lo"] + bins["width"] * len(bins["counts"]) > seen.hi
    cut = {blob["blob"]: blob["clipped"] for blob in report.numbers["blobs"]}
    assert 0 < cut["107"] < 0.02  # p99 cuts a hundredth
    weight = next(w for w in report.numbers["weights"] if w["blob"] == "out")
    value = serverquant.load(*FLOAT).fetch("head.weight")
    np.testing.assert_allclose(weight["hi"], value.max(axis=1), rtol=1e-3)
    np.testing.assert_allclose(weight["lo"], value.min(axis=1), rtol=1e-3)
    assert weight["range"][0] <= min(weight["lo"])


def test_the_clipped_share_is_that_of_the_values():
    values = np.random.default_rng(0).normal(size=100_000).astype(f32)
    seen = AlignedHistogram()
    seen.add(values)
    params = QParams(0.02, 128)
    beyond = (values < params.min - 0.01) | (values > params.max + 0.01)
    assert measure.clipped(seen, params) == pytest.approx(beyond.mean(), abs=1e-3)
    assert measure.clipped(seen, QParams(1.0, 128)) == 0


def test_ranges_of_channels_with_scales_of_their_own():
    value = f32([[1.0, -2.0], [0.25, 0.5]])
    stored = serverquant.Int8(np.zeros((2, 2), np.uint8), f32(2 / 128), 128)
    whole = measure._channels(value, stored, [])
    assert (whole["lo"], whole["hi"], whole["range"]) == ([-2.0, 0.25], [1.0, 0.5], [-2.0, 127 / 64])
    assert whole["used"] == pytest.approx([0.5 / (127 / 64), 1.0])
    each = measure._channels(value, stored, [2 / 128, 0.5 / 127])
    assert each["scales"] == [2 / 128, 0.5 / 127]
    assert each["used"] == pytest.approx([1.0, 1.0])
    assert measure._channels(value, stored._replace(zero_point=0), [])["used"] == pytest.approx(
        [0.5 / 255 * 64, 64 / 255]
    )


def test_what_stays_float_says_why():
    ops = [conv("x", "h", "w"), core.CreateOperator("Negative", ["h"], ["i"]), conv("i", "y", "v")]
    made = serverquant.quantize(*nets_of(ops, w=random(4, 3, 3, 3), v=random(2, 4, 3, 3)), random(2, 3, 8, 8))
    numbers = made.report([random(2, 3, 8, 8)]).numbers
    row = next(row for row in numbers["operators"] if row["blob"] == "i")
    assert row["float"] == "Negative: Negative is computed in float"
    assert row["after"] == ["Negative", "NCHW2NHWC", "Int8Quantize"]
    assert numbers["summary"]["time_us"]["samples"] == 2  # a batch as it came: nobody may cut it
    assert numbers["summary"]["outputs"][0]["top1"] is None
    assert "top-1" not in text.summary(numbers)[0][1]


def test_values_that_are_not_finite():
    ops = [conv("x", "h", "w"), core.CreateOperator("Log", ["h"], ["y"])]
    made = serverquant.quantize(*nets_of(ops, outputs=("h", "y"), w=random(4, 3, 3, 3)), random(2, 3, 8, 8))
    found = made.report(random(2, 3, 8, 8))
    row = found.numbers["operators"][-1]
    assert (row["blob"], row["accumulated"]["sqnr"], row["accumulated"]["largest"]) == ("y", None, None)
    assert text.decibels(row["accumulated"]) == "not finite"
    assert "not finite" in text.summary(found.numbers)[1][1]
    assert "NaN" not in found.json()


def test_a_net_with_several_kinds_of_inputs():
    feeds = dict(np.load(NETS / "recommender" / "inputs.npz"))
    nets = NETS / "recommender" / "init_net.pb", NETS / "recommender" / "predict_net.pb"
    made = serverquant.quantize(*nets, feeds)
    numbers = made.report(feeds).numbers
    assert numbers["summary"]["outputs"][0]["sqnr"] > 20
    assert json.loads(made.report(feeds).json())["float"]


def test_the_worst_come_first():
    rows = [
        {"blob": name, "alone": alone and {"sqnr": alone}, "accumulated": {"sqnr": accumulated}}
        for name, alone, accumulated in [("a", 30.0, 20.0), ("b", None, 25.0), ("c", 40.0, 1.0), ("d", None, None)]
    ]
    assert measure.worst(rows) == ["b", "a", "c"]
    assert measure.worst(rows, 1) == ["b"]


def test_at_most_so_many_samples(digits):
    assert digits.report(IMAGES, samples=20).numbers["samples"] == 16  # whole batches
    assert digits.report(IMAGES, samples=5).numbers["samples"] == 5
    calls = []
    digits.report(IMAGES, samples=48, batch=12, progress=lambda: calls.append(1))
    assert len(calls) == 4


def test_images_are_timed_one_at_a_time(digits, tmp_path):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", IMAGES[i : i + 1])
    for data in (tmp_path, serverquant.images(tmp_path)):
        numbers = digits.report(data).numbers
        assert (numbers["samples"], numbers["summary"]["time_us"]["samples"]) == (3, 1)


def test_no_data_no_report(digits):
    with pytest.raises(QuantizationError, match="no data for a report"):
        digits.report([])
    with pytest.raises(ArgumentError, match="1 sample or more, not 0"):
        digits.report(IMAGES, samples=0)


# ---- files ----------------------------------------------------------------------------------------------------------


def test_json_is_strict_and_comes_back(report, tmp_path):
    def refuse(text):
        raise AssertionError(text)

    (tmp_path / "report.json").write_text(report.json())
    assert json.loads(report.json(), parse_constant=refuse) == report.numbers
    assert Report.load(tmp_path / "report.json").numbers == report.numbers


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is not a report"),
        ("[]", "is not a report"),
        ('{"format": "serverquant recipe", "version": 2}', "not a report of version 2"),
        ('{"format": "serverquant report", "version": 1}', "not a report of version 2"),
        ('{"format": "serverquant report", "version": 2}', "it has no net, samples"),
    ],
)
def test_other_files_are_refused(content, match, tmp_path, capsys):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ParseError, match=match):
        Report.load(tmp_path / "report.json")
    assert main(["report", str(tmp_path)]) == 1
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("key", ["operators", "summary", "float", "machine"])
def test_a_damaged_report_is_refused(key, report, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({**report.numbers, key: []}))
    with pytest.raises(ParseError, match="is damaged"):
        Report.load(tmp_path / "report.json")


def test_without_the_extra(report, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "serverquant.quantization.report.page", raising=False)
    (tmp_path / "report.html").write_text("of an earlier net")
    assert [path.name for path in report.save(tmp_path)] == ["report.json"]
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(MachineError, match=r"needs jinja2: pip install 'serverquant\[report\]'"):
        report.html()
    assert main(["report", str(tmp_path)]) == 0
    assert "pip install 'serverquant[report]', then serverquant report" in capsys.readouterr().out


# ---- page -----------------------------------------------------------------------------------------------------------

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Seen(HTMLParser):
    """Checks that elements nest, and keeps what a page refers to, its ids, its texts and its embedded numbers."""

    def __init__(self, page):
        super().__init__()
        self.open, self.refers, self.ids, self.texts, self.data = [], [], [], [], ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append((tag, dict(attributes)))
        assert tag not in ("img", "iframe", "object", "embed", "base")
        self.refers += [value for name, value in attributes if name in ("src", "href", "xlink:href", "action")]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, text):
        tag, attributes = self.open[-1] if self.open else ("", {})
        if attributes.get("type") == "application/json":
            self.data += text
        elif tag not in ("script", "style"):
            self.texts.append(text)


@pytest.fixture
def page_of():
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    return lambda report: Seen(report.html())


def test_the_page_needs_nothing_else(report, page_of):
    seen = page_of(report)
    assert all(target.startswith(("#", "data:,")) for target in seen.refers)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www.w3.org)", report.html())
    assert {target[1:] for target in seen.refers if target.startswith("#")} <= set(seen.ids)
    assert len(set(seen.ids)) == len(seen.ids)
    assert report.html() == report.html()


def test_the_page_has_what_was_found(report, page_of):
    seen, numbers = page_of(report), report.numbers
    words = " ".join(" ".join(seen.texts).split())
    for name in numbers["summary"]["worst"]:
        assert f" {name} " in words
    out = numbers["summary"]["outputs"][0]
    assert f"{out['top1']:.2%}".replace("%", " %") in words
    assert text.decibels(out) in words
    embedded = json.loads(seen.data)
    assert embedded["blobs"] == numbers["blobs"]
    assert embedded["weights"] == numbers["weights"]
    assert [len(c) for c in embedded["colours"].values()] == [len(numbers["graph"])] * 2
    assert words.count("Flatten FC Int8FC") == 1


def test_strange_names_stay_names(page_of):
    bad = "</script><img src=x onerror=alert(1)>$\\frac{&quot;"
    nets = nets_of(
        [conv("x", bad, "w"), core.CreateOperator("Relu", [bad], ["y"]), core.CreateOperator("Tanh", [bad], ["z"])],
        outputs=("y", "z"),
        w=random(4, 3, 3, 3),
    )
    made = serverquant.quantize(*nets, random(2, 3, 8, 8))
    seen = page_of(made.report(random(2, 3, 8, 8)))
    assert bad in " ".join(seen.texts)
    assert bad in [blob["blob"] for blob in json.loads(seen.data)["blobs"]]


def test_colours_follow_the_error(page_of):
    from serverquant.quantization.report.page import SCALE, UNKNOWN, colour

    def of(sqnr, largest=1.0):
        return colour({"sqnr": sqnr, "largest": largest})

    ends = [f"#{bytes(rgb).hex()}" for _, rgb in SCALE]
    assert [of(-5.0), of(15.0), of(30.0), of(45.0), of(99.0)] == [ends[0], ends[0], ends[1], ends[2], ends[2]]
    assert (of(None, 0.0), of(None, 2.0), colour(None)) == (ends[2], ends[0], UNKNOWN)


def test_a_report_without_errors(page_of):
    """Two equal nets: everything is exact."""
    made = serverquant.quantize(*nets_of([conv("x", "y", "w")], w=random(4, 3, 3, 3)), random(2, 3, 8, 8))
    numbers = made.report(np.zeros((2, 3, 8, 8), f32)).numbers
    assert numbers["summary"]["worst"] == []
    assert "exact" in text.summary(numbers)[0][1]
    assert "nothing differs" in " ".join(page_of(Report(numbers)).texts)


# ---- command line ---------------------------------------------------------------------------------------------------


def test_quantize_writes_it(tmp_path, capsys):
    np.save(tmp_path / "x.npy", IMAGES[:40])
    out = tmp_path / "out"
    argv = ["quantize", *map(str, FLOAT), "--data", str(tmp_path / "x.npy"), "-o", str(out)]
    assert main([*argv, "--report-samples", "20"]) == 0
    said = capsys.readouterr().out
    assert "top-1 agrees in" in said
    assert json.loads((out / "report.json").read_text())["samples"] == 16
    assert main(["report", str(out)]) == 0
    said = capsys.readouterr().out
    assert re.match(r"blob +before +after +SQNR dB +alone dB", said)
    assert "Flatten FC" in said
    assert main(["report", str(out / "report.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["net"] == "digits24_predict"
    assert main([*argv, "--no-report"]) == 0
    assert not (out / "report.json").exists()  # it was that of another net
    assert "report" not in capsys.readouterr().out
    assert main([*argv, "--report-samples", "0"]) == 1
    assert main([*argv, "--report-data", "missing.npz"]) == 1
    assert "missing.npz: No such file" in capsys.readouterr().err


def test_statistics_need_data_for_a_report(tmp_path, capsys):
    np.save(tmp_path / "x.npy", IMAGES[:20])
    data = str(tmp_path / "x.npy")
    assert main(["calibrate", *map(str, FLOAT), "--data", data, "-o", f"{tmp_path}/stats"]) == 0
    argv = ["quantize", *map(str, FLOAT), "--statistics", f"{tmp_path}/stats", "-o", f"{tmp_path}/out"]
    assert main(argv) == 0
    assert "no report" in capsys.readouterr().out
    assert main([*argv, "--report-data", data]) == 0
    assert (tmp_path / "out" / "report.json").exists()


def test_the_second_act_of_the_demo(tmp_path):
    script = NETS.parent / "examples" / "quantize_digits.py"
    paths = os.pathsep.join([str(NETS.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths}
    said = subprocess.run(
        [sys.executable, script, tmp_path], env=env, capture_output=True, text=True, check=True
    ).stdout
    right = [int(n) for n in re.findall(r"(\d+) of 500 right", said)]
    assert right[0] == 493
    assert right[1] >= 490
    assert "times smaller" in said
    page = Path(re.search(r"Report(?: to open)?: (.*)", said)[1])
    assert page.parent == tmp_path
    assert page.exists()
    assert {"init_net.pb", "predict_net.pb", "recipe.json", "report.json"} <= {p.name for p in tmp_path.iterdir()}
