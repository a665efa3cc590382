"""`serverquant verify --emulated`: what is chosen, what it needs, how it is compared; and the real build."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from serverquant._base import _isa
from serverquant._base.errors import MachineError
from serverquant.cli import emulated, main
from serverquant.cli.verify import Found

NETS = Path(__file__).resolve().parents[2] / "nets"
INT8_NET = [str(NETS / "digits24_int8_plain" / f) for f in ("init_net.pb", "predict_net.pb")]
SHAPE = ["--shape", "data=1x1x24x24", "--threads", "1"]
FIRST = {"x": ("uint8", (2,), "scale 0x1p+0, zero point 3", "digest")}


def found(**changed) -> Found:
    facts = {"runs": [("scalar", 1)], "kernels": {0: {"scalar": "gemm"}}, "types": {0: "FC"}, "first": FIRST}
    return Found(**facts | changed)


@pytest.mark.parametrize(
    ("asked", "supported", "chosen"),
    [
        ([], ("scalar",), ["avx2", "avx512vnni"]),
        ([], ("scalar", "avx2"), ["avx512vnni"]),
        ([], ("scalar", "avx2", "avx512vnni"), ["avx2", "avx512vnni"]),
        (["avx2"], ("scalar", "avx2", "avx512vnni"), ["avx2"]),
        (["scalar", "avx512vnni"], ("scalar", "avx2"), ["avx512vnni"]),
        (["scalar"], ("scalar", "avx2"), []),
    ],
)
def test_what_is_emulated(asked, supported, chosen):
    assert emulated.choose(asked, supported) == chosen


def sent(what: Found) -> Found:
    """As it comes from the child process."""
    return emulated.found_from(json.loads(json.dumps(asdict(what))))


def test_the_same_bytes():
    ours = found()
    ours.add(sent(found(runs=[("avx2", 1), ("avx2", 3)], kernels={0: {"avx2": "gemm"}})))
    assert ours.differ == []
    assert ours.runs == [("scalar", 1), ("avx2 emulated", 1), ("avx2 emulated", 3)]
    assert ours.kernels == {0: {"scalar": "gemm", "avx2 emulated": "gemm"}}
    assert ours.int8 == 1


def test_other_bytes():
    """In the first emulated run, and in a later one."""
    other = {"x": (*FIRST["x"][:3], "another digest")}
    ours = found()
    ours.add(sent(found(runs=[("avx2", 1)], first=other, differ=["avx2, threads 3: x: other bytes"])))
    assert ours.differ == ["avx2 emulated: x: other bytes", "emulated avx2, threads 3: x: other bytes"]


def test_output(capsys, monkeypatch):
    """What an emulated run finds is printed with the rest, and decides the exit code."""
    monkeypatch.setattr(emulated, "verify", lambda args, isas: sent(found(runs=[(isa, 1) for isa in isas], kernels={})))
    assert main(["verify", *INT8_NET, *SHAPE, "--isa", "scalar", "avx2", "--emulated"]) == 1
    printed = capsys.readouterr().out
    assert "avx2 emulated" in printed
    assert "DIFFERS avx2 emulated: " in printed
    assert "not checked: avx512vnni" in printed


@pytest.fixture
def anywhere(monkeypatch):
    """A machine where all is there, whatever this one has."""
    monkeypatch.setattr(emulated.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(_isa, "supported", lambda: ("scalar", "avx2"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(Path, "exists", lambda path: True)


def test_all_is_there(anywhere):
    emulated.check()


@pytest.mark.parametrize(
    ("where", "name", "value", "message"),
    [
        (emulated.platform, "machine", lambda: "aarch64", "needs an x86-64 CPU with AVX2"),
        (_isa, "supported", lambda: ("scalar",), "needs an x86-64 CPU with AVX2"),
        (importlib.util, "find_spec", lambda name: None, "needs simde-py, cython, setuptools: pip install"),
        (shutil, "which", lambda name: None, "needs a C compiler, but there is no"),
        (Path, "exists", lambda path: False, "needs Python.h"),
    ],
)
def test_what_is_missing(anywhere, monkeypatch, where, name, value, message):
    monkeypatch.setattr(where, name, value)
    with pytest.raises(MachineError, match=message):
        emulated.check()


def test_a_build_that_fails(tmp_path, monkeypatch, capsys):
    """The error says where the compiler's output is, and the first error in it."""
    (tmp_path / "serverquant").mkdir()
    (tmp_path / "serverquant/native_build.py").write_text("raise SystemExit('gemm.c:1: error: no such thing')")
    with pytest.raises(MachineError, match=r"build\.log has the compiler's output: gemm\.c:1: error: no such thing"):
        emulated._compile(tmp_path, ["serverquant.x"], [tmp_path / "x.so"])


def test_modules_that_a_net_loads():
    names = emulated.loaded()
    assert "serverquant._base._isa" in names
    assert not [name for name in names if not importlib.import_module(name).__file__.endswith(".so")]


def test_sources_are_whole():
    """Whatever the build reads is in the package; what it writes is not copied."""
    names = {path.name for path in emulated._sources()}
    assert {"native_build.py", "_gemm.pyx", "_gemm.pxd", "gemm.c", "gemm.h", "kernels.inc", "simd_emulated.h"} <= names
    assert not [name for name in names if name.endswith(".so") or name == "_gemm.c"]


def test_the_cache_belongs_to_the_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = emulated.folder()
    assert before == emulated.folder()
    assert before.parent == tmp_path / "serverquant"
    source = tmp_path / "package"
    source.mkdir()
    (source / "a.h").write_text("1")
    monkeypatch.setattr(emulated, "PACKAGE", source)
    one = emulated.folder()
    (source / "a.h").write_text("2")
    assert len({before, one, emulated.folder()}) == 3


def test_this_is_no_emulated_build(monkeypatch):
    monkeypatch.setattr(emulated.sys, "stdin", type("In", (), {"read": lambda self: '{"args": {}, "isas": []}'})())
    if not _isa.EMULATED:
        with pytest.raises(MachineError, match="is no emulated build"):
            emulated.child()


def test_an_instruction_set_that_is_not_here(capsys, monkeypatch):
    monkeypatch.setattr(_isa, "supported", lambda: ("scalar", "avx2"))
    assert main(["verify", *INT8_NET, *SHAPE, "--isa", "avx512vnni"]) == 1
    assert "this CPU has scalar, avx2; add --emulated" in capsys.readouterr().err


@pytest.mark.skipif("SERVERQUANT_EMULATED" not in os.environ, reason="builds for minutes: make test-emulated")
def test_for_real(tmp_path):
    """Builds, runs, and finds the folder again."""
    settings = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    np.save(tmp_path / "x.npy", np.load(NETS / "digits24" / "inputs.npz")["data"][:1])
    argv = [sys.executable, "-m", "serverquant.cli", "verify", *INT8_NET, "--feed", f"data={tmp_path}/x.npy"]
    argv += ["--threads", "1", "3", "--emulated", "--json"]
    for built in (True, False):
        run = subprocess.run(argv, env=settings, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert ("built" in run.stderr) == built
        told = json.loads(run.stdout)
        assert told["exact"]
        chosen = emulated.choose([], _isa.supported())
        assert {run["isa"] for run in told["runs"]} == {*_isa.supported(), *(f"{isa} emulated" for isa in chosen)}
        assert told["not_checked"] == []
