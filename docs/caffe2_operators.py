"""Writes docs/caffe2_operators.md: which operators of Caffe2 there are here, and why others are not.

Every build does so, since it knows what there is.
"""

from __future__ import annotations

import runpy
from pathlib import Path

HERE = Path(__file__).parent
LIST = HERE / "caffe2_operators.list"
ENGINES = HERE / "caffe2_engines.list"
# By its path: while building, the package cannot be imported.
MODULES = runpy.run_path(str(HERE.parent / "serverquant/ops/_index.py"))["MODULES"]
HEAD = """# Caffe2's operators, and ours

Written by every build from `docs/caffe2_operators.list`. {have} of the {all} forward CPU operators of Caffe2 1.8.1 are
here (what they take and give: [operators.md](operators.md)); {left} are left out on purpose, {yet} are not there yet.

| operator | here | where, or why not |
|---|---|---|
"""


ENGINES_HEAD = """
## Engines

Caffe2's kernels for quantized and small numbers, all of which are here. An engine without a kernel for an operator is
passed over, as in Caffe2; so are names that are not in this table (CUDNN, EIGEN, NNPACK, ...), since floats have one
kernel.

| engine | operators |
|---|---|
"""


def engines() -> dict[str, list[str]]:
    """Caffe2's engines for quantized and small numbers, with their operators."""
    lines = (line.partition(":") for line in ENGINES.read_text().splitlines() if not line.startswith("#"))
    return {name.strip(): types.split() for name, _, types in lines}


def listed() -> dict[str, str]:
    """Caffe2's operators, with the reason why one is left out, or ""."""
    lines = (line.strip() for line in LIST.read_text().splitlines() if not line.startswith("#"))
    return {name.strip(): why.strip() for name, _, why in (line.partition(":") for line in lines if line)}


def page() -> str:
    """The Markdown page."""
    operators = listed()
    rows = []
    for name, why in operators.items():
        family = MODULES[name][0].split(".")[2] if name in MODULES else ""
        rows.append(f"| {name} | {'yes' if family else 'no'} | {f'`ops/{family}`' if family else why or 'not yet'} |\n")
    have = sum(name in MODULES for name in operators)
    left = sum(bool(why) for name, why in operators.items() if name not in MODULES)
    more = sorted(set(MODULES) - set(operators))
    tail = f"\nNot in that list, and here: {', '.join(more)}.\n" if more else ""
    counts = {"have": have, "all": len(operators), "left": left, "yet": len(operators) - have - left}
    by_engine = "".join(f"| {name} | {', '.join(types)} |\n" for name, types in engines().items())
    return HEAD.format(**counts) + "".join(rows) + tail + ENGINES_HEAD + by_engine


def write() -> None:
    (HERE / "caffe2_operators.md").write_text(page())


if __name__ == "__main__":
    write()
