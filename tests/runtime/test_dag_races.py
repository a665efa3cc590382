"""The threads of dag nets under sanitizers: no races, nothing read or written where it should not be."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
RUNTIME = HERE.parents[1] / "serverquant" / "runtime"


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_random_graphs(tmp_path, sanitizer):
    program = tmp_path / "races"
    sources = [str(HERE / "dag_races.c"), str(RUNTIME / "dag.c")]
    command = ["gcc", "-O1", "-g", f"-fsanitize={sanitizer}", f"-I{RUNTIME}", *sources, "-o", str(program), "-lpthread"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip("this gcc has no such sanitizer")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], capture_output=True, text=True, timeout=120)
    if "unexpected memory mapping" in ran.stderr:
        pytest.skip("the kernel lays memory out as this sanitizer cannot have it")
    assert ran.returncode == 0, ran.stdout + ran.stderr
