"""The numbers of a report as lines and tables, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

Numbers = Mapping[str, Any]
HEADERS = ("blob", "before", "after", "SQNR dB", "alone dB", "cosine", "weights", "time us")
RIGHT = HEADERS[3:]


def summary(numbers: Numbers) -> list[tuple[str, str]]:
    """(what, how much) of what a person asks first."""
    found = numbers["summary"]
    lines = [("outputs", output(o)) for o in found["outputs"]]
    lines.append(("bits", bits(numbers)))
    lines.append(("weights", change(found["weight_bytes"], size, "smaller")))
    lines.append(("time", f"{change(found['time_us'], duration, 'faster')}; {conditions(numbers)}"))
    lines.append(("float", stays(numbers)))
    return lines


def bits(numbers: Numbers) -> str:
    """How many activations and weights have how many: 'activations 4 (10), 8 (2); weights 8 (5)'."""
    parts = []
    for what, key in (("activations", "blobs"), ("weights", "weights")):
        counts = sorted(Counter(entry["bits"] for entry in numbers[key]).items())
        parts += [f"{what} {', '.join(f'{width} ({n})' for width, n in counts)}"] if counts else []
    return "; ".join(parts)


def output(row: Numbers) -> str:
    """Of an output: signal to noise, and agreement with its interval."""
    if row["top1"] is None:
        return f"{row['blob']}: {decibels(row)}"
    return f"{row['blob']}: {decibels(row)}, top-1 agrees in {agreement(row)}"


def agreement(row: Numbers) -> str:
    low, high = row["interval"]
    agree = round(row["top1"] * row["rows"])
    return f"{percent(row['top1'])} ({agree} of {row['rows']}; 95 % interval {100 * low:.2f} to {100 * high:.2f} %)"


def percent(share: float) -> str:
    """0.9922 as '99.22 %'."""
    return f"{100 * share:.2f} %"


def conditions(numbers: Numbers) -> str:
    """Under which the times were taken."""
    taken, machine = numbers["summary"]["time_us"], numbers["machine"]
    many = f"{taken['samples']} sample{'s' if taken['samples'] != 1 else ''} a run"
    threads = f"{machine['threads']} thread{'s' if machine['threads'] != 1 else ''}"
    return f"{many}, median of {taken['runs']}, {threads}, {machine['isa']}"


def stays(numbers: Numbers) -> str:
    """What stayed float, and why."""
    reasons = list(numbers["float"].values())
    return "; ".join(reasons) if reasons else "nothing stays float"


def decibels(row: Numbers | None) -> str:
    """SQNR; "exact" where nothing differs."""
    if row is None:
        return ""
    if row["sqnr"] is None:
        return {0: "exact", None: "not finite"}.get(row["largest"], "-inf dB")
    return f"{row['sqnr']:.2f} dB"


def cosine(row: Numbers | None) -> str:
    return "" if row is None or row["cosine"] is None else f"{row['cosine']:.6f}"


def largest(row: Numbers | None) -> str:
    return "" if row is None or row["largest"] is None else f"{row['largest']:.4g}"


def change(pair: Numbers, unit: Any, word: str) -> str:
    before, after = pair["before"], pair["after"]
    text = f"{unit(before)} -> {unit(after)}"
    return f"{text}, {before / after:.2f} times {word}" if before and after else text


def size(nbytes: float) -> str:
    """1234567 as '1.23 MB'."""
    for unit in ("B", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} GB"


def duration(microseconds: float) -> str:
    """1234 us as '1.23 ms'."""
    return f"{microseconds:.3g} us" if microseconds < 1000 else f"{microseconds / 1000:.4g} ms"


def table(numbers: Numbers, only: list[str] | None = None) -> list[tuple[str, ...]]:
    """A row for each operator, under HEADERS; with `only` those of these blobs, in that order."""
    rows = {row["blob"]: row for row in numbers["operators"]}
    return [_cells(rows[name]) for name in (rows if only is None else only)]


def _cells(row: Numbers) -> tuple[str, ...]:
    accumulated = row["accumulated"]
    weights, taken = row["weight_bytes"], row["time_us"]
    return (
        row["blob"],
        " ".join(row["before"]),
        " ".join(row["after"]),
        decibels(accumulated).removesuffix(" dB"),
        decibels(row["alone"]).removesuffix(" dB"),
        cosine(accumulated),
        f"{size(weights['before'])} -> {size(weights['after'])}" if weights["before"] or weights["after"] else "",
        f"{taken['before']:.1f} -> {'in ' + row['runs_in'] if row['runs_in'] else format(taken['after'], '.1f')}",
    )
