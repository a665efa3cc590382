"""python -m serverquant.compat (script.py | -m module | -c code) [arguments]: run a program with `caffe2` at hand."""

from __future__ import annotations

import os
import runpy
import sys

from serverquant import compat


def main(arguments: list[str]) -> None:
    """What `python` does with these arguments, after `compat.install()`."""
    compat.install()
    if len(arguments) >= 2 and arguments[0] in ("-m", "-c"):
        what, rest = arguments[1], arguments[2:]
        if arguments[0] == "-c":
            sys.argv = ["-c", *rest]
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.path[0] = os.getcwd()
            sys.argv = [what, *rest]
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif arguments and not arguments[0].startswith("-"):
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        sys.exit(f"usage: {__doc__}")


if __name__ == "__main__":
    main(sys.argv[1:])
