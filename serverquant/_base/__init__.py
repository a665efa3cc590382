"""What every other room stands on: errors, the instruction set in use, threads."""

import os


def _load_openmp() -> None:
    """Load gcc's OpenMP with workers that go to sleep soon after their work.

    By default they spin for milliseconds; when another process takes a core, every parallel region then waits for its
    time slice (seen: 16 ms a run became 568). The library reads its environment when it is loaded, once in a process.
    """
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        from serverquant._base import _threads
        return
    os.environ["GOMP_SPINCOUNT"] = "10000"
    try:
        from serverquant._base import _threads  # noqa: F401
    finally:
        del os.environ["GOMP_SPINCOUNT"]


_load_openmp()
