"""How native code is compiled, what is shipped, and what importing it costs."""

from __future__ import annotations

import os
import runpy
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import serverquant
from serverquant import ops

ROOT = Path(__file__).resolve().parents[2]
IMPORT_LIMIT_MS = 40


@pytest.fixture(scope="module")
def recipe() -> dict:
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    before = os.getcwd()
    os.chdir(ROOT)
    try:
        return runpy.run_path(str(ROOT / "serverquant/native_build.py"), run_name="recipe")
    finally:
        os.chdir(before)


def test_no_flag_changes_what_floats_mean(recipe):
    for extension in recipe["extensions"]():
        flags = extension.extra_compile_args
        assert "-ffp-contract=off" in flags
        for bad in (
            "-ffast-math",
            "-Ofast",
            "-funsafe-math-optimizations",
            "-fassociative-math",
            "-freciprocal-math",
            "-ffinite-math-only",
            "-ffp-contract=fast",
        ):
            assert bad not in flags
        assert not [f for f in flags if f.startswith(("-march", "-mtune"))], "the machine is chosen at run time"


def test_sources_do_not_switch_fast_math_on():
    for path in (p for s in ("*.h", "*.c", "*.inc", "*.pyx", "*.pxd") for p in (ROOT / "serverquant").rglob(s)):
        if path.suffix == ".c" and path.name.startswith("_"):
            continue  # written by Cython
        text = path.read_text()
        assert "fast-math" not in text, path
        assert "FP_CONTRACT ON" not in text.upper(), path


def test_every_module_is_built(recipe):
    for extension in recipe["extensions"]():
        __import__(extension.name)


def test_the_operator_index_is_fresh():
    written = Path(ops.__file__).with_name("_index.py")
    fresh = runpy.run_path(str(ROOT / "serverquant/ops/make_index.py"), run_name="index")["text"]()
    assert written.read_text() == fresh, "run python serverquant/ops/make_index.py"


def test_one_version_everywhere():
    assert f'\nversion = "{serverquant.__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    assert f"\n## {serverquant.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def seconds(statement: str) -> float:
    """Of one import in a fresh interpreter, without its start."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_importing_is_cheap():
    ours, numpy = [], []
    for _ in range(7):  # turn by turn, so that both see the same machine
        ours.append(seconds("import numpy, serverquant"))
        numpy.append(seconds("import numpy"))
    assert (min(ours) - min(numpy)) * 1e3 <= IMPORT_LIMIT_MS or (
        (statistics.median(ours) - statistics.median(numpy)) * 1e3 <= IMPORT_LIMIT_MS
    )


def test_importing_loads_no_heavy_module():
    heavy = "('google.protobuf', 'rich', 'PIL')"
    code = f"import sys, serverquant; print([m for m in sys.modules if m.startswith({heavy})])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_packages_that_are_shipped():
    setuptools = pytest.importorskip("setuptools")
    found = set(setuptools.find_packages(str(ROOT), include=["serverquant*"]))
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "serverquant").rglob("*.py")}
    assert found == folders, "every folder with modules needs an __init__.py"
    assert (ROOT / "serverquant/py.typed").exists()
