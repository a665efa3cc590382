"""Compare two nets blob by blob: signal to noise, cosine, largest error, agreement of the largest output.

serverquant compare float/ int8/ --data images.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    found = compare(_net(args.a), _net(args.b), quantize.data(args), batch=args.batch)
    if args.json:
        show.as_json([_as_json(difference) for difference in found])
        return 0
    rows = [(d.blob, d.other, f"{d.sqnr:.2f}", f"{d.cosine:.6f}", f"{d.largest:.4g}", _agreement(d)) for d in found]
    show.table(("A", "B", "SQNR dB", "cosine", "largest error", "top-1"), rows, ("SQNR dB", "cosine", "largest error"))
    return 0


def _net(text: str) -> tuple[str, str]:
    if Path(text).is_dir():
        return str(Path(text) / "init_net.pb"), str(Path(text) / "predict_net.pb")
    init, comma, predict = text.partition(",")
    if not comma:
        raise ArgumentError(f"{text} is no folder; give one with init_net.pb and predict_net.pb, or INIT,PREDICT")
    return init, predict


def _agreement(difference: Difference) -> str:
    ends = difference.interval()
    if ends is None:
        return ""
    return f"{difference.agree}/{difference.rows} ({100 * ends[0]:.2f} to {100 * ends[1]:.2f} %)"


def _as_json(difference: Difference) -> dict[str, Any]:
    return {
        "a": difference.blob,
        "b": difference.other,
        "sqnr": difference.sqnr,
        "cosine": difference.cosine,
        "largest": difference.largest,
        "top1": difference.top1,
        "interval": difference.interval(),
        "rows": difference.rows,
    }
