"""What every kernel family's `rows()` returns: the lines of its `kernels.inc` as Python objects."""

from __future__ import annotations

from typing import NamedTuple

from serverquant._base import _isa
from serverquant._base.errors import ArgumentError


class KernelRow(NamedTuple):
    """One row of a kernel table, in order of preference within its family."""

    family: str  #: folder below `serverquant/kernels`
    name: str  #: the C function; `row=` arguments of the family take it
    isa: str  #: one of `serverquant._base._isa.NAMES`
    tile: tuple[int, ...]  #: elements computed at once, as the family's table says
    supported: bool  #: this machine can run it

    @classmethod
    def of(cls, family: str, name: bytes, level: int, *tile: int) -> KernelRow:
        """A line of a C table, which holds the name as bytes and the instruction set as its level."""
        isa = _isa.NAMES[level]
        return cls(family, name.decode(), isa, tile, isa in _isa.supported())


def choose_row(rows: list[KernelRow], name: str | None) -> int:
    """Index of the first of a family's rows that the instruction set in use allows, or of the row of that name."""
    allowed = _isa.NAMES[: _isa.NAMES.index(_isa.current()) + 1]
    for i, row in enumerate(rows):
        if name is None and row.isa in allowed:
            return i
        if name is not None and row.name == name:
            if not row.supported:
                raise ArgumentError(f"this machine cannot run the {row.family} row {name}")
            return i
    raise ArgumentError(f"no {rows[0].family} row is called {name}; there are {', '.join(r.name for r in rows)}")
