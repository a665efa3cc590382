"""List the operators: engines, where they are implemented, native or Python, whether this machine runs them."""

from __future__ import annotations

import argparse
import os

from serverquant.cli import show
from serverquant.runtime import registry
from serverquant.runtime.operator import PythonOperator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", nargs="?", help="only types that contain this")
    parser.add_argument("--engine", help="only operators with this engine")


def run(args: argparse.Namespace) -> None:
    import serverquant.ops  # noqa: F401 - makes the built-in operators known

    rows = []
    for name in registry.types():
        for engine in registry.engines(name):
            cls = registry.operator_class(name, engine)
            if cls is None or (args.type and args.type.lower() not in name.lower()) or (args.engine not in (None, engine)):
                continue
            body = "Python" if issubclass(cls, PythonOperator) else "native"
            file, _, line = registry.where(cls).rpartition(":")
            rows.append((name, engine or "(default)", body, "yes", f"{os.path.relpath(file)}:{line}"))
    columns = ["type", "engine", "body", "runs here", "file"]
    if args.json:
        show.print_json([dict(zip(columns, row)) for row in rows])
    else:
        show.print_table(columns, rows)
