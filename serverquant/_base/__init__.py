"""What every other room stands on: errors, the instruction set in use, threads."""

import os


def _load_openmp() -> None:
    """Load gcc's OpenMP with workers that go to sleep soon after their work.

    By default they spin for milliseconds; when another process takes a core, or two of a team share one, every parallel
    region then waits that long for the worker (MobileNetV2 on 2 threads beside other work: 49 ms with 10000 spins, 10
    with 1000; alone the same). 1000 spins, some 40 us, bridge the gap between two operators. The library reads its
    environment when it is loaded, once in a process.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        from serverquant._base import _threads
        return
    os.environ["GOMP_SPINCOUNT"] = "1000"
    try:
        from serverquant._base import _threads  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]


_load_openmp()
