"""Show the report of a quantized net, and write its page anew, from report.json.

serverquant report out
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serverquant.quantization.report.made import Report


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="what `serverquant quantize` wrote, or the report.json in it")


def main(args: argparse.Namespace) -> int:
    from serverquant.cli import show
    from serverquant.quantization.report import made, text

    given = Path(args.folder)
    file = given if given.is_file() else given / made.JSON
    report = made.Report.load(file)
    if args.json:
        show.as_json(report.numbers)
        return 0
    show.table(text.HEADERS, text.table(report.numbers), text.RIGHT)
    print()
    print_summary(report)
    print_files(report.save(file.parent))
    return 0


def print_worst(report: Report) -> None:
    """The operators with the largest errors of their own."""
    from serverquant.cli import show
    from serverquant.quantization.report import text

    rows = text.table(report.numbers, report.numbers["summary"]["worst"])
    show.table(("worst", *text.HEADERS[1:]), rows, text.RIGHT)
    print()


def print_summary(report: Report) -> None:
    """What a person asks first."""
    from serverquant.quantization.report import text

    for what, how_much in text.summary(report.numbers):
        print(f"{what:8} {how_much}")


def print_files(files: list[Path]) -> None:
    """Where a report is; how to get its page, if there is none."""
    from serverquant.quantization.report import made

    print(f"{'report':8} {', '.join(map(str, files))}")
    if len(files) == 1:
        print(f"{'':8} for a page to open: {made.HOW_TO_GET}, then serverquant report {files[0].parent}")
