"""Every case of the golden slice agrees with Caffe2, and is the same bytes on every instruction set and thread count.

The second is asked of a seeded tenth of the cases, or of all with SERVERQUANT_MATRIX=1 (`make test-matrix`).
"""

from __future__ import annotations

import functools
import os

import corpus
import pytest
import run

from serverquant._base import _isa, _threads

EVERY = 1 if os.environ.get("SERVERQUANT_MATRIX") == "1" else 10


@pytest.fixture(autouse=True)
def restore():
    """Leave instruction set and threads as they were."""
    level, threads = _isa.current(), _threads.get_num_threads()
    yield
    _isa.set_level(level)
    _threads.set_num_threads(threads)
    _threads.force_teams(False)


@pytest.mark.parametrize("case", list(corpus.cases()), ids=lambda case: case.id)
def test_agrees_with_caffe2(case: corpus.Case) -> None:
    _threads.set_num_threads(1)
    assert not run.run(case).wrong


@functools.cache
def best_digests() -> dict[str, str]:
    """Of these cases, on this machine's best instruction set with one thread."""
    _isa.set_level(_isa.detected())
    return {name: outcome.digest for name, outcome in run.run_all(run.chosen(every=EVERY), 1).items()}


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("isa", _isa.supported())
def test_same_bytes_everywhere(isa: str, threads: int) -> None:
    want = best_digests()
    _isa.set_level(isa)
    outcomes = run.run_all(run.chosen(every=EVERY), threads)
    if _threads.openmp_version():
        assert _threads.get_num_threads() == threads
    assert {name: outcome.digest for name, outcome in outcomes.items()} == want
