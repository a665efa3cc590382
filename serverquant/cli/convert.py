"""Convert a net between .pb and .pbtxt; the suffix of the second file says to what."""

from __future__ import annotations

import argparse
from pathlib import Path

from serverquant.cli import show
from serverquant.proto.io import load_net, save


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source")
    parser.add_argument("target")


def run(args: argparse.Namespace) -> None:
    net = load_net(Path(args.source))
    save(net, args.target)
    facts = {"name": net.name, "operators": len(net.op), "bytes": Path(args.target).stat().st_size}
    if args.json:
        show.print_json(facts)
    else:
        print(f"{args.target}: net {facts['name']}, {facts['operators']} operators, {facts['bytes']:,} bytes")
