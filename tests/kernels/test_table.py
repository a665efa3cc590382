"""The table of kernels: every family is in it, and every instruction set ends in a scalar row."""

from __future__ import annotations

import pytest

from serverquant._base import _isa
from serverquant.kernels import table


def test_rows_are_named_once():
    names = [row.name for row in table.rows()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", table.families())
def test_family(family):
    rows = table.rows(family)
    assert rows
    assert rows[-1].isa == "scalar"
    for row in rows:
        assert row.family == family
        assert row.supported == (row.isa in _isa.supported())
