"""What every kernel family's `rows()` returns: the lines of its `kernels.inc` as Python objects."""

from __future__ import annotations

from typing import NamedTuple


class KernelRow(NamedTuple):
    """One row of a kernel table, in order of preference within its family."""

    family: str  #: folder below `serverquant/kernels`
    name: str  #: the C function; `row=` arguments of the family take it
    isa: str  #: one of `serverquant._base._isa.NAMES`
    tile: tuple[int, ...]  #: elements computed at once, as the family's table says
    supported: bool  #: this machine can run it
