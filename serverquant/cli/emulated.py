"""`serverquant verify --emulated`: kernels of instruction sets that the CPU lacks, through the headers of simde.

The native modules that the net has loaded are built once more from the installed sources, where every intrinsic is a
portable function (docs/add_kernel.md), into a folder of the user's cache that belongs to these sources and this Python.
A child process runs the net with them; what it finds comes back as JSON. Other nets add modules to the same folder.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import serverquant
from serverquant._base import _isa
from serverquant._base.errors import MachineError
from serverquant.cli.verify import Found

PACKAGE = Path(serverquant.__file__).parent
NEEDS = {"simde_py": "simde-py", "Cython": "cython", "setuptools": "setuptools"}
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
CHILD = "import sys\nfrom serverquant.cli.emulated import child\nsys.exit(child())\n"


def choose(asked: list[str], supported: tuple[str, ...]) -> list[str]:
    """The instruction sets to emulate: those asked for, else those that the CPU lacks, or all where it lacks none."""
    x86 = [name for name in _isa.NAMES if name != "scalar"]
    lacking = [name for name in x86 if name not in supported]
    return [name for name in x86 if name in (asked or lacking or x86)]


def check() -> None:
    """MachineError for whatever is missing to build and to run emulated modules."""
    if platform.machine() != "x86_64" or "avx2" not in _isa.supported():
        raise MachineError("--emulated needs an x86-64 CPU with AVX2: without fused multiply-adds simde rounds twice")
    missing = [name for module, name in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MachineError(f"--emulated needs {', '.join(missing)}: pip install 'serverquant[verify]'")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler):
        raise MachineError(f"--emulated needs a C compiler, but there is no {compiler}: install gcc, or set CC")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise MachineError("--emulated needs Python.h: install Python's headers (python3-dev)")


def loaded() -> list[str]:
    """The package's native modules that this process has loaded."""
    names = sorted(name for name in sys.modules if name.startswith("serverquant."))
    return [name for name in names if str(getattr(sys.modules[name], "__file__", "")).endswith(SUFFIX)]


def _sources() -> list[Path]:
    """All files of the package but what is built from them."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(p for p in files if p.suffix != ".so" and not (p.suffix == ".c" and p.name.startswith("_")))


def folder() -> Path:
    """Where these sources are built for this Python."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    tag = sys.implementation.cache_tag
    return cache / "serverquant" / f"emulated-{serverquant.__version__}-{tag}-{digest.hexdigest()[:12]}"


def build(modules: list[str]) -> Path:
    """The folder with an emulated build of these modules, those that are there already aside."""
    check()
    root = folder()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in _sources():
            copy = root / "serverquant" / path.relative_to(PACKAGE)
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        (root / "child.py").write_text(CHILD)
        built = [root / (name.replace(".", "/") + SUFFIX) for name in modules]
        if not all(path.exists() for path in built):
            _compile(root, modules, built)
    return root


def _compile(root: Path, modules: list[str], built: list[Path]) -> None:
    log = root / "build.log"
    command = [sys.executable, "serverquant/native_build.py", "-q", "build_ext", "--inplace"]
    settings = os.environ | {"SERVERQUANT_EMULATE": "1", "SERVERQUANT_MODULES": ",".join(modules)}
    with log.open("w") as out, subprocess.Popen(
        command, cwd=root, env=settings, stdout=out, stderr=subprocess.STDOUT
    ) as process:
        try:
            for _ in _until_done(process):
                _progress(sum(path.exists() for path in built), len(built), root)
        except BaseException:
            process.terminate()
            raise
    if process.returncode or not all(path.exists() for path in built):
        last = next((line for line in log.read_text().splitlines() if "error" in line.lower()), "no error was printed")
        raise MachineError(f"the emulated modules could not be built; {log} has the compiler's output: {last.strip()}")
    _progress(len(built), len(built), root, end="\n")


def _until_done(process: subprocess.Popen[bytes]) -> Iterator[None]:
    while process.poll() is None:
        yield
        time.sleep(0.5)


def _progress(done: int, count: int, root: Path, end: str = "") -> None:
    """One line: rewritten on a terminal, else printed at the end."""
    if sys.stderr.isatty() or end:
        begin = "\r" if sys.stderr.isatty() else ""
        print(f"{begin}emulated modules in {root}: {done} of {count} built", end=end, file=sys.stderr, flush=True)


def verify(args: argparse.Namespace, isas: list[str]) -> Found:
    """What `verify.verify` finds with emulated instruction sets, whose names say so."""
    root = build(loaded())
    told = {name: value for name, value in vars(args).items() if name != "call"}
    settings = {name: value for name, value in os.environ.items() if name != "SERVERQUANT_ISA"}
    command = [sys.executable, str(root / "child.py")]
    run = subprocess.run(
        command, input=json.dumps({"args": told, "isas": isas}), env=settings, capture_output=True, text=True
    )
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
        raise MachineError(f"the net did not run with the emulated modules in {root}: {last[0]}")
    return found_from(json.loads(run.stdout.splitlines()[-1]))


def found_from(told: dict[str, Any]) -> Found:
    """A `Found` that came as JSON, its instruction sets marked."""
    return Found(
        runs=[(name_of(isa), threads) for isa, threads in told["runs"]],
        differ=[f"emulated {line}" for line in told["differ"]],
        kernels={int(i): {name_of(isa): row for isa, row in rows.items()} for i, rows in told["kernels"].items()},
        types={int(i): text for i, text in told["types"].items()},
        first={name: (dtype, tuple(shape), *rest) for name, (dtype, shape, *rest) in told["first"].items()},
    )


def name_of(isa: str) -> str:
    """How an emulated instruction set is called."""
    return f"{isa} emulated"


def child() -> int:
    """In the child process: asked by JSON on stdin, answers by JSON in the last line of stdout."""
    from serverquant.cli.verify import verify as run

    asked = json.loads(sys.stdin.read())
    if not _isa.EMULATED:
        raise MachineError(f"{PACKAGE} is no emulated build")
    print("\n" + json.dumps(asdict(run(argparse.Namespace(**asked["args"]), asked["isas"]))))
    return 0
