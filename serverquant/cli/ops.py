"""List the operators, their engines, files, and whether this machine runs them; with TYPE, all about one.

serverquant ops
serverquant ops Int8Conv
serverquant ops --engine DNNLOWP
serverquant ops --markdown > docs/operators.md
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", nargs="?", metavar="TYPE", help="show one operator with its arguments")
    parser.add_argument("--engine", help="only implementations of this engine (default: those without one)")
    parser.add_argument("--markdown", action="store_true", help="print the catalogue page")


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import catalogue, show

    if args.markdown:
        print(catalogue.markdown(), end="")
        return 0
    if args.type:
        entry = catalogue.entry(args.type)
        show.as_json(entry) if args.json else print(catalogue.text(entry), end="")
        return 0
    entries = catalogue.entries()
    if args.json:
        show.as_json(entries)
        return 0
    rows = [
        (e["type"], i["engine"] or "default", i["body"], "yes" if i["runs"] else f"no: {i['reason']}", i["file"])
        for e in entries
        for i in e["engines"]
        if args.engine in (None, i["engine"] or "default")
    ]
    show.table(("type", "engine", "body", "runs here", "file"), rows)
    print(f"\n{len({row[0] for row in rows})} types, {len(rows)} implementations")
    return 0
