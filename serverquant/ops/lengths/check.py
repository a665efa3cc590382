"""Checks of lengths, ids and indices, which come out as int64."""

from __future__ import annotations

import numpy as np

from serverquant._base.errors import ShapeError

LENGTH_MAX = 1 << 40


def checked(lengths: np.ndarray, rows: int | None = None, most: int | None = None) -> np.ndarray:
    """The lengths; ShapeError if one is negative, or if they do not add up to `rows`, or to more than `most`."""
    out = lengths.astype(np.int64)
    if out.size and out.min() < 0:
        at = int(np.flatnonzero(out < 0)[0])
        raise ShapeError(f"length {out[at]} at position {at} is negative")
    if out.size and out.max() > LENGTH_MAX:
        at = int(np.flatnonzero(out > LENGTH_MAX)[0])
        raise ShapeError(f"length {out[at]} at position {at} is too large")
    total = int(out.sum())
    if rows is not None and total != rows:
        raise ShapeError(f"the lengths add up to {total}, but there are {rows} rows")
    if most is not None and total > most:
        raise ShapeError(f"the lengths add up to {total}, but there are only {most} rows")
    return out


ELEMENTS_MAX = 1 << 28  # of an output whose size is a few numbers' say


def bounded(lengths: np.ndarray, columns: int = 1) -> np.ndarray:
    """The lengths; ShapeError if so many rows would be out of all proportion."""
    rows = int(lengths.sum())
    if rows * max(columns, 1) > ELEMENTS_MAX:
        raise ShapeError(f"the lengths add up to {rows} rows of {columns} elements; at most {ELEMENTS_MAX} are made")
    return lengths


def padded_size(lengths: np.ndarray, rows: int, columns: int) -> int:
    """The largest length; ShapeError if ranges padded to it would be out of all proportion to their rows."""
    longest = int(lengths.max(initial=0))
    if longest * lengths.size * max(columns, 1) > max(ELEMENTS_MAX, 64 * rows * columns):
        raise ShapeError(f"{lengths.size} ranges of up to {longest} rows are out of all proportion to {rows} rows")
    return longest


def within(indices: np.ndarray, count: int, what: str = "index") -> np.ndarray:
    """The indices; ShapeError if one is not in 0..count-1."""
    out = indices.astype(np.int64)
    bad = (out < 0) | (out >= count)
    if bad.any():
        at = int(np.flatnonzero(bad.ravel())[0])
        raise ShapeError(f"{what} {out.ravel()[at]} at position {at} is out of range for {count}")
    return out


def starts(lengths: np.ndarray) -> np.ndarray:
    """Where each range starts."""
    return np.concatenate([[0], np.cumsum(lengths)])[:-1]


def places(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """All places of ranges, one range behind the other: first[i], first[i] + 1, ... lengths[i] times."""
    return np.repeat(first - starts(lengths), lengths) + np.arange(lengths.sum())
