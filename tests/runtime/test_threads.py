"""The threads that share an operator's work, from outside: how many there are, and what a fork does to them."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from serverquant._base import _threads
from serverquant.kernels.gemm_f32 import _gemm_f32

pytestmark = pytest.mark.skipif(not _threads.openmp_version(), reason="built without OpenMP")


@pytest.fixture
def three():
    """Teams of three for the smallest work."""
    before = _threads.set_num_threads(3)
    _threads.force_teams(True)
    yield
    _threads.force_teams(False)
    _threads.set_num_threads(before)


def product() -> bytes:
    rng = np.random.default_rng(0)
    a, w = (rng.standard_normal(shape, np.float32) for shape in ((50, 70), (90, 70)))
    return _gemm_f32.gemm(a, _gemm_f32.pack(w)).tobytes()


def tasks() -> int:
    return len(os.listdir("/proc/self/task"))


def comes_to(number: int) -> bool:
    """Whether there are so many threads, soon: they come and go on their own."""
    until = time.monotonic() + 10
    while tasks() != number and time.monotonic() < until:
        time.sleep(0.001)
    return tasks() == number


@pytest.mark.usefixtures("three")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_finds_no_workers_and_both_sides_go_on():
    want = product()
    assert tasks() >= 2
    child = os.fork()
    if child == 0:
        os._exit(0 if product() == want and comes_to(3) else 1)
    assert os.waitpid(child, 0)[1] == 0
    left = tasks()
    assert product() == want
    assert comes_to(left + 2)


@pytest.mark.usefixtures("three")
def test_callers_at_the_same_time_have_teams_of_their_own():
    want, wrong = product(), []

    def work() -> None:
        for _ in range(100):
            if product() != want:
                wrong.append(1)

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
