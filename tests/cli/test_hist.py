"""The verbs calibrate and hist."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serverquant.cli import hist, main
from serverquant.qparams.histogram import Histogram
from serverquant.quantization.seen import Seen
from serverquant.quantization.statistics import Statistics

NETS = Path(__file__).resolve().parents[2] / "nets"
FLOAT = [str(NETS / "digits24" / f) for f in ("init_net.pb", "predict_net.pb")]
f32 = np.float32


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Statistics of ten images, of other ten, and the images."""
    folder = tmp_path_factory.mktemp("stats")
    images = np.load(NETS / "digits24" / "train.npz")["data"][:20]
    for name, part in (("a", images[:10]), ("b", images[10:]), ("whole", images)):
        np.save(folder / f"{name}.npy", part)
        assert main(["calibrate", *FLOAT, "--data", f"{folder}/{name}.npy", "-o", f"{folder}/{name}"]) == 0
    return folder


def test_parts_merge_to_the_whole(files, tmp_path, capsys):
    assert main(["hist", "merge", f"{files}/b", f"{files}/a", "-o", f"{tmp_path}/merged"]) == 0
    assert "20 samples" in capsys.readouterr().out
    assert (tmp_path / "merged").read_bytes() == (files / "whole").read_bytes()
    assert main(["hist", "diff", f"{tmp_path}/merged", f"{files}/whole"]) == 0
    assert "all the same" in capsys.readouterr().out


def test_show(files, capsys):
    want = Statistics.load(files / "a")
    assert main(["hist", "show", f"{files}/a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"fingerprint {want.fingerprint}, samples 10"
    assert {line.split()[0] for line in lines[2:]} == set(want.blobs)
    assert main(["hist", "show", f"{files}/a", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 10
    for name, blob in want.blobs.items():
        seen = found["blobs"][name]
        h = blob.histogram
        assert (seen["min"], seen["max"], seen["values"]) == (h.lo, h.hi, h.total)
        assert seen["shape"] == list(blob.shape)
        if h.total:
            assert seen["min"] <= seen["percentiles"]["50"] <= seen["percentiles"]["99"] <= seen["max"]
    assert sum(blob["percentiles"]["50"] is None for blob in found["blobs"].values()) < len(want.blobs) / 2
    assert main(["hist", "show", f"{files}/a", "--blob", "data", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["blobs"]["data"]
    assert sum(data["histogram"]["counts"]) == data["values"] == 10 * 24 * 24
    assert main(["hist", "show", f"{files}/a", "--blob", "data"]) == 0
    picture = capsys.readouterr().out.splitlines()
    assert len(picture) == 1 + hist.ROWS
    assert sum(float(line.split()[-1].rstrip("%")) for line in picture[1:]) == pytest.approx(100, abs=0.01)


def test_diff(files, capsys):
    assert main(["hist", "diff", f"{files}/a", f"{files}/b", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    distances = [row["distance"] or 0.0 for row in found["changed"]]
    assert distances == sorted(distances, reverse=True)
    a, b = (Statistics.load(files / name).blobs for name in "ab")
    row = next(row for row in found["changed"] if row["blob"] == "out")
    assert row["a"] == [a["out"].histogram.lo, a["out"].histogram.hi]
    assert row["b"] == [b["out"].histogram.lo, b["out"].histogram.hi]
    assert main(["hist", "diff", f"{files}/a", f"{files}/b"]) == 0
    assert "distance" in capsys.readouterr().out


def test_distance_and_quantiles_are_those_of_the_values():
    random = np.random.default_rng(1)
    values, others = random.normal(size=40_000).astype(f32), random.normal(0.3, 1.2, 40_000).astype(f32)
    a, b = (Histogram.of(v, 1500, v.min(), v.max()) for v in (values, others))
    places = np.sort(np.concatenate([values, others]))
    shares = [np.searchsorted(np.sort(v), places) / v.size for v in (values, others)]
    assert a.distance(b) == pytest.approx(np.abs(shares[0] - shares[1]).max(), abs=2e-3)
    assert a.distance(a) == 0
    for share in (0.001, 0.2, 0.5, 0.99):
        assert a.quantile(share) == pytest.approx(np.quantile(values, share), abs=0.01)
    counts, begins = Seen(a, float(values.min()), float(values.max())).rebinned(7)
    np.testing.assert_allclose(counts, np.histogram(values, 7)[0], atol=60)
    assert begins[0] == values.min()


def test_text_files_of_caffe2(tmp_path, capsys):
    (tmp_path / "hist").write_text("0 Conv 0 y -1 3 4 1 2 3 4\n1 Relu 0 z 0 3 2 5 5\n2 Relu 0 z 0 4 2 5 5\n")
    (tmp_path / "minmax").write_text("0 Conv 0 y -1 3\n")
    assert main(["hist", "show", f"{tmp_path}/hist", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["blobs"]
    assert set(found) == {"y", "1:z", "2:z"}
    assert found["y"]["percentiles"]["50"] == pytest.approx(-1 + 2 + 2 / 3, abs=1e-6)
    assert main(["hist", "show", f"{tmp_path}/minmax"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:4] == ["y", "-", "-1", "3"]  # not counted
    assert main(["hist", "diff", f"{tmp_path}/hist", f"{tmp_path}/minmax"]) == 0
    assert "only in" in capsys.readouterr().out


def test_refusals(files, tmp_path, capsys):
    (tmp_path / "text").write_text("hello\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    with np.load(files / "a") as members:
        arrays = dict(members)
    arrays["3.counts"] = arrays["3.counts"][:-1]
    np.savez(tmp_path / "damaged.npz", **arrays)
    other = [str(NETS / "mobilenet_v2_quarter" / f) for f in ("init_net.pb", "predict_net.pb")]
    data = str(NETS / "mobilenet_v2_quarter" / "inputs.npz")
    assert main(["calibrate", *other, "--data", data, "-o", f"{tmp_path}/other"]) == 0
    capsys.readouterr()
    for argv, word in [
        (["show", f"{tmp_path}/text"], "nor is it a statistics file"),
        (["show", f"{tmp_path}/binary"], "nor is it a statistics file"),
        (["show", f"{tmp_path}/missing"], "No such file"),
        (["show", f"{tmp_path}/damaged.npz"], "do not agree"),
        (["show", f"{files}/a", "--blob", "dota"], 'no blob "dota" (did you mean data?)'),
        (["merge", f"{files}/a", f"{tmp_path}/other", "-o", f"{tmp_path}/out"], "calibrate anew"),
        (["merge", f"{tmp_path}/text", "-o", f"{tmp_path}/out"], "not a statistics file"),
    ]:
        assert main(["hist", *argv]) == 1, argv
        printed = capsys.readouterr()
        assert word in printed.err
        assert printed.err.count("\n") == 1
        assert not printed.out
    assert not (tmp_path / "out").exists()


def test_calibrate_says_what_is_doubtful_and_where_it_got(files, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "one.npy", np.load(files / "a.npy")[:1])
    assert main(["calibrate", *FLOAT, "--data", f"{tmp_path}/one.npy", "-o", f"{tmp_path}/one"]) == 0
    assert capsys.readouterr().err.startswith("serverquant calibrate: warning: calibrated on one sample")
    data = np.load(files / "a.npy")
    data[7, 0, 3, 3] = np.nan
    np.save(tmp_path / "nan.npy", data)
    argv = ["calibrate", *FLOAT, "--data", f"{tmp_path}/nan.npy", "-o", f"{tmp_path}/nan", "--batch", "1"]
    assert main([*argv, "--save-every", "2"]) == 1
    printed = capsys.readouterr().err
    assert "samples 7 to 7 hold 1 values" in printed
    assert f"{tmp_path}/nan.part; --resume goes on" in printed
    assert Statistics.load(tmp_path / "nan.part").samples == 6
    for more, word in ((["--save-every", "-1"], "0 or more"), (["--resume"], "other data or settings")):
        np.save(tmp_path / "nan.npy", data[:7])
        assert main([*argv, *more]) == 1
        printed = capsys.readouterr().err
        assert word in printed
        assert "goes on" not in printed


def test_a_bar_on_a_terminal_alone(files, tmp_path):
    argv = [sys.executable, "-m", "serverquant.cli", "calibrate", *FLOAT, "--data", f"{files}/whole.npy"]
    argv += ["--batch", "1"]
    plain = subprocess.run([*argv, "-o", f"{tmp_path}/out"], capture_output=True, text=True, check=True)
    assert plain.stderr == ""
    terminal, end = pty.openpty()
    with subprocess.Popen([*argv, "-o", f"{tmp_path}/out"], stderr=end, stdout=subprocess.DEVNULL) as child:
        os.close(end)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        os.close(terminal)
        assert child.wait() == 0
    assert b"calibrating" in shown
    assert b"100%" in shown
    assert b"0:00:00" in shown  # what is left, at the end
