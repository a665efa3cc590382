"""Compare two nets blob by blob: signal to noise, cosine, largest error, agreement of the largest output.

serverquant compare float/ int8/ --data images.npz

SQNR: what a blob of B is off by, with the errors of all operators before it. Alone: the error of the operator that
writes it, run on the values of A.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from serverquant._base.errors import ArgumentError

if TYPE_CHECKING:
    from serverquant.quantization.compare import Difference


def arguments(parser: argparse.ArgumentParser) -> None:
    from serverquant.cli import quantize

    parser.add_argument(
        "a", metavar="A", help="folder of init_net.pb and predict_net.pb, or both files as INIT,PREDICT"
    )
    parser.add_argument("b", metavar="B", help="the same of the net that is judged")
    quantize.data_arguments(parser)


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import quantize, show
    from serverquant.quantization.compare import compare
    from serverquant.quantization.data import BATCH

    given = quantize.data(args)
    with show.progress("comparing", None) as advance:
        found = compare(_net(args.a), _net(args.b), given, batch=args.batch or BATCH, progress=advance)
    if args.json:
        show.as_json([{"a": d.blob, "b": d.other, **d.numbers()} for d in found])
        return 0
    rows = [(d.blob, d.other, *_numbers(d), _agreement(d)) for d in found]
    headers = ("A", "B", "SQNR dB", "alone dB", "cosine", "largest error", "top-1")
    show.table(headers, rows, headers[2:6])
    return 0


def _net(text: str) -> tuple[str, str]:
    if Path(text).is_dir():
        return str(Path(text) / "init_net.pb"), str(Path(text) / "predict_net.pb")
    init, comma, predict = text.partition(",")
    if not comma:
        raise ArgumentError(f"{text} is no folder; give one with init_net.pb and predict_net.pb, or INIT,PREDICT")
    return init, predict


def _numbers(difference: Difference) -> tuple[str, ...]:
    from serverquant.quantization.report import text

    found = difference.numbers()
    decibels = (text.decibels(row).removesuffix(" dB") for row in (found, found.get("alone")))
    return *decibels, text.cosine(found), text.largest(found)


def _agreement(difference: Difference) -> str:
    ends = difference.interval()
    if ends is None:
        return ""
    return f"{difference.agree}/{difference.rows} ({100 * ends[0]:.2f} to {100 * ends[1]:.2f} %)"
