"""Look at statistics of calibrations: show one, merge those of parts of the data, say what differs between two.

serverquant hist show digits.stats
serverquant hist show digits.stats --blob conv1 --blob pool1
serverquant hist merge part1.stats part2.stats -o whole.stats
serverquant hist diff before.stats after.stats

show and diff read the text files of Caffe2's observers too (min/max or histograms).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from serverquant._base.errors import ArgumentError, ParseError, QuantizationError

if TYPE_CHECKING:
    from serverquant.quantization.seen import File, Seen

PERCENTILES = (0.1, 1.0, 50.0, 99.0, 99.9)
ROWS, BAR = 24, 40  # of a blob's picture
SKETCH = 16  # characters of a blob in the table
BLOCKS = " ▁▂▃▄▅▆▇█"


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", required=True, metavar="show|merge|diff")
    show = verbs.add_parser("show", help="ranges and percentiles of all blobs, or a picture of some")
    show.add_argument("file", metavar="FILE")
    show.add_argument("--blob", action="append", default=[], metavar="NAME", help="this one, with its histogram")
    merge = verbs.add_parser("merge", help="count together what was counted apart, for one net")
    merge.add_argument("files", nargs="+", metavar="FILE")
    merge.add_argument("-o", "--output", required=True, metavar="FILE")
    diff = verbs.add_parser("diff", help="blobs whose values differ, the most different first")
    diff.add_argument("a", metavar="A")
    diff.add_argument("b", metavar="B")
    for sub in (show, merge, diff):
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON value")


def main(args: argparse.Namespace) -> int:
    {"show": _show, "merge": _merge, "diff": _diff}[args.what](args)
    return 0


def _read(path: str) -> File:
    from serverquant.quantization import seen

    try:
        return seen.read(path)
    except ParseError as error:
        raise QuantizationError(f"{error}; nor is it a statistics file") from error


# ---- show -----------------------------------------------------------------------------------------------------------


def _show(args: argparse.Namespace) -> None:
    from serverquant.blobs.store import closest
    from serverquant.cli import show

    found = _read(args.file)
    for name in args.blob:
        if name not in found.blobs:
            raise ArgumentError(f'{args.file} has no blob "{name}"{closest(name, list(found.blobs))}')
    if args.json:
        blobs = {name: found.blobs[name] for name in args.blob or found.blobs}
        show.as_json({**found.facts, "blobs": {name: _as_json(blob, bool(args.blob)) for name, blob in blobs.items()}})
        return
    if args.blob:
        print("\n\n".join(picture(name, found.blobs[name]) for name in args.blob))
        return
    if found.facts:
        print(", ".join(f"{key} {value}" for key, value in found.facts.items()))
    headers = ("blob", "shape", "values", "min", *(f"{p:g} %" for p in PERCENTILES), "max", "from min to max")
    show.table(headers, [_row(name, blob) for name, blob in found.blobs.items()], headers[2:-1])


def _row(name: str, blob: Seen) -> tuple[Any, ...]:
    from serverquant.cli import show

    shape = "" if blob.shape is None else show.dims(blob.shape)
    percentiles = (_g(blob.percentile(p)) for p in PERCENTILES)
    return name, shape, blob.total or "-", _g(blob.lo), *percentiles, _g(blob.hi), sketch(blob)


def _as_json(blob: Seen, whole: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "shape": blob.shape,
        "values": blob.total,
        "not_finite": blob.not_finite,
        "min": blob.lo if blob.lo <= blob.hi else None,
        "max": blob.hi if blob.lo <= blob.hi else None,
        "average": blob.average,
        "percentiles": {f"{p:g}": blob.percentile(p) for p in PERCENTILES},
    }
    if whole:
        bins = {"begin": float(blob.bins.lo), "end": float(blob.bins.hi), "counts": blob.bins.counts}
        facts.update(histogram=bins, maxima=blob.maxima)
    return facts


def _g(value: float | None) -> str:
    return "" if value is None or value in (float("inf"), float("-inf")) else f"{value:.4g}"


def picture(name: str, blob: Seen) -> str:
    """A blob's histogram as text, its range in rows. Bars are logarithmic: what is rare is there too."""
    lines = [f"{name}: {blob.total or 'not counted,'} values from {blob.lo:.6g} to {blob.hi:.6g}"]
    if blob.not_finite:
        lines[0] += f", {blob.not_finite} infinite or NaN"
    if blob.average is not None:
        lines.append(f"moving averages: {blob.average[0]:.6g} to {blob.average[1]:.6g}")
    if not blob.total:
        return lines[0]
    counts, borders = blob.rebinned(ROWS)
    for count, begin, bar in zip(counts, borders, _bars(counts, BAR * 8)):
        whole, eighths = divmod(bar, 8)
        drawn = "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()
        lines.append(f"{begin:12.5g}  {drawn.ljust(BAR)}  {count / blob.total:9.4%}")
    return "\n".join(lines)


def sketch(blob: Seen) -> str:
    """The same in one line."""
    if not blob.total:
        return ""
    return "".join(BLOCKS[bar] for bar in _bars(blob.rebinned(SKETCH)[0], len(BLOCKS) - 1))


def _bars(counts: Sequence[float], longest: int) -> list[int]:
    from math import ceil, log1p

    most = max(log1p(count) for count in counts) or 1.0
    return [ceil(longest * log1p(count) / most) for count in counts]


# ---- merge ----------------------------------------------------------------------------------------------------------


def _merge(args: argparse.Namespace) -> None:
    from serverquant.cli import show
    from serverquant.quantization.statistics import Statistics

    whole = Statistics.load(args.files[0])
    for path in args.files[1:]:
        try:
            whole.merge(Statistics.load(path))
        except QuantizationError as error:
            raise QuantizationError(f"{path}: {error}") from error
    whole.save(args.output)
    if args.json:
        show.as_json({"fingerprint": whole.fingerprint, "samples": whole.samples, "blobs": len(whole.blobs)})
    else:
        print(f"{args.output}: {len(whole.blobs)} blobs, {whole.samples} samples")


# ---- diff -----------------------------------------------------------------------------------------------------------


def _diff(args: argparse.Namespace) -> None:
    from serverquant.cli import show

    a, b = _read(args.a), _read(args.b)
    only = {args.a: [n for n in a.blobs if n not in b.blobs], args.b: [n for n in b.blobs if n not in a.blobs]}
    both = [(name, blob, b.blobs[name]) for name, blob in a.blobs.items() if name in b.blobs]
    changed = [(name, x, y, x.distance(y)) for name, x, y in both if not x.equals(y)]
    changed.sort(key=lambda row: -(row[3] or 0.0))
    if args.json:
        ends = [
            {"blob": name, "distance": far, "a": [x.lo, x.hi], "b": [y.lo, y.hi], "values": [x.total, y.total]}
            for name, x, y, far in changed
        ]
        show.as_json({"changed": ends, "only_in_a": only[args.a], "only_in_b": only[args.b]})
        return
    for key in dict.fromkeys([*a.facts, *b.facts]):
        if a.facts.get(key) != b.facts.get(key):
            print(f"{key}: {a.facts.get(key, 'none')} and {b.facts.get(key, 'none')}")
    for path, names in only.items():
        if names:
            print(f"only in {path}: {', '.join(names)}")
    if not changed:
        print(f"{len(both)} blobs, all the same")
        return
    headers = ("blob", "distance", "min A", "min B", "max A", "max B", "99 % A", "99 % B")
    show.table(
        headers,
        [
            (name, _g(far), *map(_g, (x.lo, y.lo, x.hi, y.hi, x.percentile(99), y.percentile(99))))
            for name, x, y, far in changed
        ],
        headers[1:],
    )
