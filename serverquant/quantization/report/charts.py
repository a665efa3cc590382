"""Charts of a report as SVG that takes its colours from the page, so that it is light or dark with it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# What matplotlib writes -> what the page says.
INK, GRID, BEFORE, AFTER = "#010101", "#020202", "#030303", "#040404"
COLOURS = {INK: "var(--ink)", GRID: "var(--grid)", BEFORE: "var(--before)", AFTER: "var(--after)"}
WIDTH = 5.0  # inches: as wide as a phone shows at its own size
ROW, MARGINS = 0.2, 0.75  # inches
LONGEST = 18  # letters of a name
STYLE = {
    "svg.fonttype": "none",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": GRID,
}


def errors(rows: Sequence[dict[str, Any]]) -> str:
    """SQNR of every row, alone and accumulated, downwards in the order of the net."""
    shown = [row for row in rows if row["accumulated"]]

    def draw(axes: Any) -> None:
        for what, face, style in (("alone", "none", {"zorder": 3}), ("accumulated", AFTER, {"zorder": 2})):
            points = [
                (row[what]["sqnr"], y) for y, row in enumerate(shown) if row[what] and row[what]["sqnr"] is not None
            ]
            axes.plot(*zip(*points) if points else ((), ()), "o", ms=5, mec=AFTER, mfc=face, label=what, **style)
        for y, row in enumerate(shown):
            ends = [row[w]["sqnr"] for w in ("alone", "accumulated") if row[w] and row[w]["sqnr"] is not None]
            if len(ends) == 2:
                axes.plot(ends, (y, y), "-", color=AFTER, lw=0.8, zorder=1)
            elif not ends:
                axes.annotate("exact", (0.99, y), xycoords=("axes fraction", "data"), ha="right", va="center")
        axes.set_xlabel("SQNR, dB")

    return _figure("errors", [row["blob"] for row in shown], draw)


def pairs(rows: Sequence[dict[str, Any]], key: str, label: str, unit: float = 1.0) -> str:
    """Bars of what a key holds before and after, in such units, for every row that has some."""
    shown = [row for row in rows if any(row[key].values())]

    def draw(axes: Any) -> None:
        places = range(len(shown))
        for when, shift, colour in (("before", -0.2, BEFORE), ("after", 0.2, AFTER)):
            axes.barh(
                [y + shift for y in places],
                [row[key][when] / unit for row in shown],
                0.4,
                color=colour,
                label={"before": "float", "after": "int8"}[when],
            )
        axes.set_xlabel(label)

    return _figure(key, [row["blob"] for row in shown], draw)


def _figure(name: str, labels: Sequence[str], draw: Callable[[Any], None]) -> str:
    """The SVG element of a chart with one line for each label; "" without any."""
    if not labels:
        return ""
    style: Any = {**STYLE, "svg.hashsalt": name}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font has not: the browser's has
        figure = Figure(figsize=(WIDTH, ROW * len(labels) + MARGINS), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(axis="x", lw=0.5)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        draw(axes)
        axes.set_yticks(range(len(labels)), [shortened(label) for label in labels], parse_math=False)
        axes.tick_params(length=0)
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
        written = io.StringIO()
        FigureCanvasSVG(figure).print_svg(written, metadata={"Date": None, "Creator": None})
    return _inline(written.getvalue())


def shortened(name: str) -> str:
    """Both ends of a long name."""
    return name if len(name) <= LONGEST else f"{name[:7]}…{name[8 - LONGEST :]}"


def _inline(svg: str) -> str:
    """An SVG file as an element of a page: no prolog, no size of its own, no names that others may have."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    head, tail = svg.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    for theirs, ours in COLOURS.items():
        tail = tail.replace(theirs, ours)
    return f'{head} role="img">{tail}'
