"""Threads under sanitizers, those of dag nets and of operators: no races, no access where there should be none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "serverquant"


@pytest.mark.parametrize("program", ["runtime/dag", "_base/threads"])
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_random_work(tmp_path, program, sanitizer):
    source, built_to = PACKAGE / f"{program}.c", tmp_path / "races"
    sources = [str(HERE / f"{source.stem}_races.c"), str(source)]
    folders = [f"-I{source.parent}", f"-I{PACKAGE / 'include'}"]
    flags = ["-std=gnu11", "-O1", "-g", "-D_OPENMP=1", f"-fsanitize={sanitizer}"]
    command = ["gcc", *flags, *folders, *sources, "-o", str(built_to), "-lpthread"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip("this gcc has no such sanitizer")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(built_to)], capture_output=True, text=True, timeout=120)
    if "unexpected memory mapping" in ran.stderr:
        pytest.skip("the kernel lays memory out as this sanitizer cannot have it")
    assert ran.returncode == 0, ran.stdout + ran.stderr
