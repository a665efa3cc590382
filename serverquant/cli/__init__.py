"""The command `serverquant`: one verb a module.

    run       run a net on files, images or random data      ops       the operators and their engines
    inspect   what a net is made of                          explain   which kernels a net takes, and why
    bench     time a net, its operators, or one operator     doctor    what this machine and build can do
    convert   between .pb and .pbtxt

Every verb takes --json. Exit status: 0, 1 for bad input (one line on stderr), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from serverquant._base.errors import ServerquantError

VERBS = ("run", "inspect", "ops", "convert", "bench", "explain", "doctor")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit status."""
    parser = argparse.ArgumentParser(prog="serverquant", description="Run Caffe2 nets on CPUs, exactly.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name in VERBS:
        module = importlib.import_module(f"serverquant.cli.{name}")
        about = (module.__doc__ or "").strip()
        verb = verbs.add_parser(
            name, help=about.splitlines()[0], description=about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        verb.add_argument("--json", action="store_true", help="print JSON")
        module.add_arguments(verb)
        verb.set_defaults(function=module.run)
    args = parser.parse_args(argv)
    try:
        return int(args.function(args) or 0)
    except BrokenPipeError:
        return 0
    except (ServerquantError, OSError, ValueError) as error:
        print(f"serverquant {args.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
