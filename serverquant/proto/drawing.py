"""A net as a picture: DOT text, or SVG laid out in layers by distance from the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 190, 40, 24, 34, 20


def edges(proto: Any) -> Iterator[tuple[int, int, str]]:
    """(making operator, reading operator, blob); weights and inputs come from nowhere and give no edge."""
    maker: dict[str, int] = {}
    for index, op in enumerate(proto.op):
        for name in op.input:
            if name in maker:
                yield maker[name], index, name
        maker.update(dict.fromkeys(op.output, index))


def dot(proto: Any, shapes: Mapping[int, str]) -> str:
    """The net for graphviz."""
    lines = [f"digraph {_quoted(proto.name)} {{", "  node [shape=box, style=rounded, fontname=sans];"]
    for index, op in enumerate(proto.op):
        label = "\n".join(filter(None, (op.type, op.output[0] if op.output else "", shapes.get(index, ""))))
        lines.append(f"  n{index} [label={_quoted(label)}];")
    lines += [f"  n{a} -> n{b} [tooltip={_quoted(name)}];" for a, b, name in edges(proto)]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def svg(proto: Any, notes: Mapping[int, str], fills: Mapping[int, str] | None = None) -> str:
    """The net as an SVG document. notes: what stands in an operator's box besides its type and output, by index. fills:
    colours of boxes; without them int8 operators have another colour than the rest."""
    links = list(edges(proto))
    places = _places(len(proto.op), links)
    width = max((x for x, _ in places), default=0) + BOX_WIDTH + MARGIN
    height = max((y for _, y in places), default=0) + BOX_HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="sans-serif" font-size="12" text-anchor="middle">',
        f"<title>{escape(proto.name)}</title>",
        *(_curve(places[a], places[b], name) for a, b, name in links),
        *(_box(places[i], op, notes.get(i, ""), (fills or {}).get(i) or _fill(op)) for i, op in enumerate(proto.op)),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _places(count: int, links: list[tuple[int, int, str]]) -> list[tuple[float, float]]:
    """Upper left corners: layers by longest path, within a layer ordered by the middle of what feeds it."""
    sources: list[list[int]] = [[] for _ in range(count)]
    for a, b, _ in links:
        sources[b].append(a)
    layer, order, filled = [0] * count, [0.0] * count, {0: 0}
    for i in range(count):  # operators are in order: what feeds one comes before it
        layer[i] = 1 + max((layer[a] for a in sources[i]), default=-1)
        wish = sum(order[a] for a in sources[i]) / len(sources[i]) if sources[i] else 0
        order[i] = max(wish, filled.get(layer[i], 0))
        filled[layer[i]] = int(order[i]) + 1
    return [(MARGIN + order[i] * (BOX_WIDTH + GAP_X), MARGIN + layer[i] * (BOX_HEIGHT + GAP_Y)) for i in range(count)]


def _curve(start: tuple[float, float], end: tuple[float, float], name: str) -> str:
    x0, y0 = start[0] + BOX_WIDTH / 2, start[1] + BOX_HEIGHT
    x1, y1 = end[0] + BOX_WIDTH / 2, end[1]
    bend = (y1 - y0) / 2
    return (
        f'<path d="M{x0:.0f} {y0:.0f} C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}" '
        f'fill="none" stroke="#888"><title>{escape(name)}</title></path>'
    )


def _fill(op: Any) -> str:
    return "#dbeafe" if op.type.startswith("Int8") or op.engine == "DNNLOWP" else "#f3f4f6"


def _box(place: tuple[float, float], op: Any, note: str, fill: str) -> str:
    x, y = place
    middle = x + BOX_WIDTH / 2
    below = " ".join(filter(None, (op.output[0] if op.output else "", note)))
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}" stroke="#555"/>'
        f'<text x="{middle:.0f}" y="{y + 17:.0f}" font-weight="bold">{escape(op.type)}</text>'
        f'<text x="{middle:.0f}" y="{y + 32:.0f}" font-size="10" fill="#444">{escape(below[:34])}</text>'
    )
