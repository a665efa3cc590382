"""Every instruction set and several thread counts for the tests of kernels."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from serverquant._base import _isa, _threads

THREADS = (2, 3, 7)


@contextmanager
def _level(name: str):
    if name not in _isa.supported():
        pytest.skip(f"this machine has no {name}")
    before = _isa.set_level(name)
    yield
    _isa.set_level(before)


@contextmanager
def _team(threads: int):
    """Teams of that many threads, for the smallest work too."""
    before = _threads.set_num_threads(threads)
    _threads.force_teams(True)
    yield
    _threads.force_teams(False)
    _threads.set_num_threads(before)


@pytest.fixture(params=_isa.NAMES)
def isa(request):
    """Kernels of one instruction set; skipped by name where the machine (or the emulated build) lacks it."""
    with _level(request.param):
        yield request.param


@pytest.fixture(params=THREADS, ids=lambda n: f"{n}threads")
def team(request):
    """Teams of several sizes on the machine's best instruction set."""
    with _team(request.param):
        yield request.param


@pytest.fixture(params=[*_isa.NAMES, *THREADS], ids=lambda p: p if isinstance(p, str) else f"{p}threads")
def setting(request):
    """Each instruction set, then teams of several sizes: splitting does not depend on what runs the pieces."""
    with _level(request.param) if isinstance(request.param, str) else _team(request.param):
        yield request.param
