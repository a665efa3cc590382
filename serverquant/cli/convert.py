"""Convert a net between binary (.pb) and text (.pbtxt); NetDef and MetaNetDef are told apart.

serverquant convert predict_net.pb predict_net.pbtxt
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from serverquant._base.errors import ArgumentError, ParseError

SUFFIXES = (".pb", ".pbtxt", ".prototxt")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FROM")
    parser.add_argument("target", metavar="TO", help="the suffix decides: .pb is binary, .pbtxt and .prototxt are text")


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import show
    from serverquant.proto.io import save

    if Path(args.target).suffix not in SUFFIXES:
        raise ArgumentError(f"{args.target}: the name must end in one of {', '.join(SUFFIXES)}")
    message = _read(args.source)
    save(message, args.target)
    kind, size = type(message).__name__, Path(args.target).stat().st_size
    if args.json:
        show.as_json({"source": args.source, "target": args.target, "kind": kind, "bytes": size})
    else:
        print(f"{args.target}: {kind}, {show.amount(size, 'B')}")
    return 0


def _read(path: str) -> Any:
    from serverquant.proto import MetaNetDef
    from serverquant.proto.io import load, load_net

    try:
        return load_net(path)
    except ParseError as first:
        try:
            return load(path, MetaNetDef)
        except ParseError:
            raise first from None
