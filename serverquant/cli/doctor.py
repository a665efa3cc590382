"""Say what this machine and this build can do, and what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import sys
from typing import Any

from serverquant._base import _isa, _threads
from serverquant.cli import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> None:
    found = facts()
    if args.json:
        show.print_json(found)
        return
    for name, value in found.items():
        print(f"{name:22} {value}")


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def facts() -> dict[str, Any]:
    """Facts by name."""
    openmp = _threads.openmp_version()
    return {
        "serverquant": version("serverquant"),
        "python": f"{platform.python_version()} ({sys.executable})",
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "instruction sets": f"{_isa.current()} in use; this machine runs {', '.join(_isa.supported())}",
        "OpenMP": openmp or "built without: everything runs on one thread",
        "threads": f"{_threads.get_num_threads()} of {_threads.available_cpus()} CPUs that this process may use",
        "numpy": version("numpy"),
        "protobuf": version("protobuf"),
        "rich (tables)": version("rich"),
        "pillow (images)": version("pillow"),
    }
