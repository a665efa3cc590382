"""`serverquant verify`: what it runs, what it compares, what it says of a net that is not exact."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from serverquant import register
from serverquant._base import _isa, _threads
from serverquant.cli import main
from serverquant.cli.verify import compare
from serverquant.proto import NetDef, OperatorDef

NETS = Path(__file__).resolve().parents[2] / "nets"
INT8_NET = [str(NETS / "digits24_int8_plain" / f) for f in ("init_net.pb", "predict_net.pb")]
IMAGES = np.load(NETS / "digits24" / "inputs.npz")["data"][:2]


@pytest.fixture
def feed(tmp_path: Path) -> list[str]:
    np.save(tmp_path / "x.npy", IMAGES)
    return ["--feed", f"data={tmp_path}/x.npy"]


def test_every_level_and_number_of_threads(capsys, feed):
    before = _isa.current(), _threads.get_num_threads()
    assert main(["verify", *INT8_NET, *feed, "--threads", "1", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["exact"]
    assert [(r["isa"], r["threads"]) for r in found["runs"]] == [(i, n) for i in _isa.supported() for n in (1, 3)]
    assert found["not_checked"] == list(_isa.NAMES[len(_isa.supported()) :])
    assert found["int8_blobs"] > 5
    conv = next(op for op in found["operators"] if op["type"].startswith("Int8Conv"))
    assert conv["kernels"]["scalar"].endswith("_scalar")
    quantize = next(op for op in found["operators"] if op["type"] == "Int8Quantize")
    assert quantize["kernels"]["scalar"].endswith("_scalar")
    assert (_isa.current(), _threads.get_num_threads()) == before


def test_text_names_what_was_not_checked(capsys, feed, monkeypatch):
    monkeypatch.setattr(_isa, "supported", lambda: ("scalar",))
    assert main(["verify", *INT8_NET, *feed, "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "not checked: avx512vnni, which this CPU lacks" in printed
    assert "the same bytes in every run" in printed


def test_a_net_that_is_not_exact(capsys, tmp_path):
    @register("VerifyTestThreads", replace=True)
    def run(x: np.ndarray) -> np.ndarray:
        return x + np.float32(_threads.get_num_threads())

    op = OperatorDef(type="VerifyTestThreads", input=["X"], output=["Y"])
    net = NetDef(name="odd", op=[op], external_input=["X"], external_output=["Y"])
    (tmp_path / "init.pb").write_bytes(NetDef(name="init").SerializeToString())
    (tmp_path / "net.pb").write_bytes(net.SerializeToString())
    argv = ["verify", f"{tmp_path}/init.pb", f"{tmp_path}/net.pb", "--shape", "X=3", "--threads", "1", "2"]
    assert main(argv) == 1
    printed = capsys.readouterr().out
    assert "DIFFERS scalar, threads 2: Y: other bytes" in printed
    assert "NOT the same in every run" in printed


def test_compare_tells_what_differs():
    value = ("uint8", (2,), "scale 0x1p+0, zero point 3", "a")
    other = ("uint8", (2,), "scale 0x1p+0, zero point 4", "b")
    assert compare({"x": value}, {"x": value}, "here") == []
    assert compare({"x": value}, {"x": other}, "here") == ["here: x: other parameters, bytes"]
    assert compare({"x": value}, {}, "here") == ["here: x is written in one run only"]


def test_a_team_of_none(capsys, feed):
    assert main(["verify", *INT8_NET, *feed, "--threads", "0"]) == 1
    assert "at least one thread" in capsys.readouterr().err
