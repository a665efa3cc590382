"""List the kernels, and which of them this machine runs."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", nargs="?", metavar="FAMILY", help="only this family, such as gemm")


def main(args: argparse.Namespace) -> int:
    from serverquant._base.errors import ArgumentError
    from serverquant.cli import show
    from serverquant.kernels import table

    if args.family and args.family not in table.families():
        raise ArgumentError(f"there is no kernel family {args.family}; there are {', '.join(table.families())}")
    rows = table.rows(args.family)
    if args.json:
        show.as_json([row._asdict() for row in rows])
        return 0
    cells = [
        (r.family, r.name, r.isa, show.dims(r.tile) if r.tile else "", "yes" if r.supported else "no") for r in rows
    ]
    show.table(("family", "kernel", "isa", "tile", "runs here"), cells)
    return 0
