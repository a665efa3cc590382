"""Every instruction set and several thread counts for the tests of kernels."""

from __future__ import annotations

import pytest

from serverquant._base import _isa, _threads


@pytest.fixture(params=_isa.NAMES)
def isa(request):
    """Kernels of one instruction set; skipped by name where the machine (or the emulated build) lacks it."""
    if request.param not in _isa.supported():
        pytest.skip(f"this machine has no {request.param}")
    before = _isa.set_level(request.param)
    yield request.param
    _isa.set_level(before)


@pytest.fixture(params=[1, 2, 3, 7])
def team(request):
    """Teams of that many threads for the smallest work too."""
    before = _threads.set_num_threads(request.param)
    _threads.force_teams(True)
    yield request.param
    _threads.force_teams(False)
    _threads.set_num_threads(before)
