"""The command `serverquant`: one module a verb, each with `arguments(parser)` and `main(args) -> exit code`.

Exit codes: 0 done, 1 bad input or nothing to do it with, 2 wrong usage. Bad input gives one line, not a traceback.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from serverquant import __version__
from serverquant._base.errors import ServerquantError

VERBS = (
    "run",
    "inspect",
    "explain",
    "verify",
    "bench",
    "calibrate",
    "hist",
    "quantize",
    "compare",
    "report",
    "ops",
    "kernels",
    "convert",
    "doctor",
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="serverquant", description="Run, quantize and look at Caffe2 nets on CPUs.")
    top.add_argument("--version", action="version", version=f"serverquant {__version__}")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        module = importlib.import_module(f"serverquant.cli.{verb}")
        about = (module.__doc__ or "").strip()
        sub = verbs.add_parser(
            verb,
            help=about.splitlines()[0].rstrip("."),
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument("--json", action="store_true", help="print one JSON value instead of text")
        module.arguments(sub)
        sub.set_defaults(call=module.main)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    args = parser().parse_args(argv)
    try:
        code: int = args.call(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (ServerquantError, OSError) as error:
        print(f"serverquant {args.verb}: {_one_line(error)}", file=sys.stderr)
        return 1


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
