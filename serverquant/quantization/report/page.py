"""A report as one HTML file: styles, script, charts and numbers are in it, so that it opens without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from itertools import pairwise
from typing import Any

import jinja2
from markupsafe import Markup

from serverquant.proto import NetDef, OperatorDef
from serverquant.proto.drawing import svg
from serverquant.quantization.report import charts, text

FILES = resources.files("serverquant.quantization.report")
# SQNR in dB -> colour of an operator: from much error over some to little; readable for the colour-blind.
SCALE = ((15.0, (0xF2, 0x9E, 0x5C)), (30.0, (0xF5, 0xF1, 0xE6)), (45.0, (0x9C, 0xC4, 0xEE)))
UNKNOWN = "#e5e7eb"


def page(numbers: Mapping[str, Any]) -> str:
    """The page of these numbers."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "db": text.decibels,
        "cosine": text.cosine,
        "largest": text.largest,
        "size": text.size,
        "duration": text.duration,
        "percent": text.percent,
    }
    rows = {row["blob"]: row for row in numbers["operators"]}
    template = environment.from_string(_read("page.jinja"))
    return template.render(
        n=numbers,
        rows=rows,
        text=text,
        style=Markup(_read("page.css")),
        script=Markup(_read("page.js")),
        charts={
            "errors": Markup(charts.errors(numbers["operators"])),
            "time": Markup(charts.pairs(numbers["operators"], "time_us", "time of a run, us")),
            "weights": Markup(charts.pairs(numbers["operators"], "weight_bytes", "weights, kB", 1000.0)),
        },
        drawing=Markup(drawing(numbers["graph"], rows)),
        slowest=max((us for row in rows.values() for us in row["time_us"].values()), default=0.0),
        scale=[(decibels, _hex(rgb)) for decibels, rgb in SCALE],
        data={
            "blobs": numbers["blobs"],
            "weights": numbers["weights"],
            "colours": {
                what: [colour(rows[op["row"]][what] if op["row"] in rows else None) for op in numbers["graph"]]
                for what in ("alone", "accumulated")
            },
        },
    )


def _read(name: str) -> str:
    return FILES.joinpath(name).read_text(encoding="utf-8")


def drawing(graph: list[dict[str, Any]], rows: Mapping[str, Any]) -> str:
    """The int8 net, each operator in the colour of its error alone."""
    net, notes, fills = NetDef(name="the int8 net"), {}, {}
    for i, op in enumerate(graph):
        net.op.append(OperatorDef(type=op["type"], input=op["inputs"], output=op["outputs"]))
        alone = rows[op["row"]]["alone"] if op["row"] in rows else None
        notes[i], fills[i] = text.decibels(alone), colour(alone)
    return svg(net, notes, fills)


def colour(numbers: Mapping[str, Any] | None) -> str:
    """Of an error; grey where it is not known."""
    if numbers is None:
        return UNKNOWN
    sqnr = numbers["sqnr"] if numbers["sqnr"] is not None else (SCALE[-1][0] if numbers["largest"] == 0 else 0.0)
    at = min(max(sqnr, SCALE[0][0]), SCALE[-1][0])
    for (low, a), (high, b) in pairwise(SCALE):
        if at <= high:
            share = (at - low) / (high - low)
            return _hex(round(x + share * (y - x)) for x, y in zip(a, b))
    return UNKNOWN


def _hex(rgb: Iterable[int]) -> str:
    return f"#{bytes(rgb).hex()}"
