"""Say what serverquant finds here: CPU, instruction sets, threads, versions, what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

SAFE_PROTOBUF = {5: (5, 29, 6), 6: (6, 33, 5)}  # the first release of each line without known CVEs
EXTRAS = {  # package: (the extra that brings it, what for)
    "rich": ("cli", "tables and progress bars"),
    "pillow": ("cli", "images as inputs"),
    "jinja2": ("report", "the page of a report"),
    "matplotlib": ("report", "its charts"),
}
VARIABLES = ("SERVERQUANT_ISA", "SERVERQUANT_NUM_THREADS", "OMP_NUM_THREADS")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none of its own."""


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import show

    found = facts()
    if args.json:
        show.as_json(found)
    else:
        show.table(
            ("", ""), [(key.replace("_", " "), _text(value)) for key, value in found.items() if key != "problems"]
        )
        for problem in found["problems"]:
            print(f"\n! {problem}")
        if not found["problems"]:
            print("\nall is well")
    return 0


def facts() -> dict[str, Any]:
    """Everything that the verb prints; `problems` are what the user can mend."""
    import numpy as np

    import serverquant
    import serverquant.ops
    from serverquant._base import _isa, _threads
    from serverquant.kernels import table
    from serverquant.runtime import registry

    rows = table.rows()
    found: dict[str, Any] = {
        "serverquant": serverquant.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "protobuf": version("protobuf"),
        **{name: version(name) or "missing" for name in EXTRAS},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cpus_at_hand": _threads.available_cpus(),
        "isa": _isa.current(),
        "isa_of_the_machine": _isa.detected(),
        "openmp": _threads.openmp_version() or "none: everything runs on one thread",
        "threads": _threads.get_num_threads(),
        "operators": len(registry.types()),
        "kernels": f"{sum(row.supported for row in rows)} of {len(rows)} run here",
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
    found["problems"] = list(_problems(found))
    return found


def _problems(found: dict[str, Any]) -> list[str]:
    problems = [
        f"{name} is missing ({what}): pip install 'serverquant[{extra}]'"
        for name, (extra, what) in EXTRAS.items()
        if found[name] == "missing"
    ]
    if not _is_safe(found["protobuf"]):
        problems.append(
            f"protobuf {found['protobuf']} has known weaknesses against hostile messages; "
            f"use {' or '.join('.'.join(map(str, v)) for v in SAFE_PROTOBUF.values())} or newer"
        )
    if found["isa"] != found["isa_of_the_machine"]:
        problems.append(f"SERVERQUANT_ISA lowers {found['isa_of_the_machine']} to {found['isa']}: slower than need be")
    if found["openmp"] and not isinstance(found["openmp"], int):
        problems.append("built without OpenMP; build with gcc and SERVERQUANT_OPENMP unset for threads")
    if found["threads"] > found["cpus_at_hand"]:
        problems.append(f"{found['threads']} threads on {found['cpus_at_hand']} CPUs: slower than fewer")
    if sys.platform != "linux":
        problems.append("only Linux is tested")
    return problems


def _is_safe(text: str) -> bool:
    numbers = tuple(int(n) for n in text.split(".")[:3] if n.isdigit())
    return bool(numbers) and numbers >= SAFE_PROTOBUF.get(numbers[0], (6,))


def version(package: str) -> str:
    """Of an installed package; "" when it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _text(value: Any) -> str:
    return ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
