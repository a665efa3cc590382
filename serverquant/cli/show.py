"""Printing: tables, JSON, progress. rich makes it pretty on a terminal; without rich, or into a file, plain text."""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> None:
    """Print rows below their headers; columns named in `right` are aligned to the right."""
    text = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and _rich_table(headers, text, right):
        return
    widths = [max(map(len, column)) for column in zip(headers, *text)]
    for row in [list(headers), *text]:
        cells = [c.rjust(w) if h in right else c.ljust(w) for h, c, w in zip(headers, row, widths)]
        print("  ".join(cells).rstrip())


def _rich_table(headers: Sequence[str], rows: list[list[str]], right: Sequence[str]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in headers:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    Console().print(made)
    return True


def as_json(value: Any) -> None:
    """Print one JSON value; numpy scalars and arrays become numbers and lists."""
    print(json.dumps(value, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


class Advance(Protocol):
    def __call__(self, done: int | None = None, total: int | None = None) -> None: ...


@contextlib.contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """A bar on stderr while a person waits there, with the time left as soon as two parts are done. Gives the function
    to call after each of `total` parts; or with how many are done, and how many there are, where that is known."""
    bar = _rich_bar() if sys.stderr.isatty() else None
    if bar is None:
        yield lambda done=None, total=None: None
        return
    with bar:
        task = bar.add_task(what, total=total)

        def advance(done: int | None = None, total: int | None = None) -> None:
            if done is None:
                bar.advance(task)
            else:
                bar.update(task, completed=done, total=total)

        yield advance


def _rich_bar() -> Any:
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return None
    return Progress(console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def warnings_as_lines(verb: str) -> Iterator[None]:
    """What is doubtful as one line each on stderr, without the place in the code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)  # others are for developers
        try:
            yield
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                print(f"serverquant {verb}: warning: {text}", file=sys.stderr)


def amount(number: float, unit: str = "") -> str:
    """1234567 as '1.23 M': three digits and a prefix."""
    prefixes = ["", "k", "M", "G", "T"]
    while abs(number) >= 1000 and len(prefixes) > 1:
        number /= 1000
        del prefixes[0]
    return f"{number:.3g} {prefixes[0]}{unit}".rstrip()


def dims(shape: Sequence[int]) -> str:
    """(1, 3, 8, 8) as '1x3x8x8'."""
    return "x".join(map(str, shape)) or "scalar"
