"""How many threads the kernels use.

The team size is `SERVERQUANT_NUM_THREADS`, else `OMP_NUM_THREADS`, else the smaller of the affinity mask and the
container's CPU quota; `set_num_threads` changes it for the process and may exceed the cores. Threads are never pinned.
Small pieces of work stay on the caller's thread whatever the setting. The threads themselves: threads.h.
"""
import os

from cython.parallel cimport prange

from serverquant._base.errors import ArgumentError

cdef extern from "threads.h" nogil:
    ctypedef struct sq_team:
        pass
    ctypedef void (*sq_host_fn)(sq_team* team, int begin, int end) noexcept nogil
    void sq_set_host(sq_host_fn host)
    void sq_serve(sq_team* team, int at)
    int sq_openmp()
    int sq_in_parallel()
    int sq_workers_awake()
    void sq_parallel_range(range_fn fn, const void* job, long long count, long long align, int team)

# Waking a worker costs some microseconds, in which a core does tens of thousands of elementary operations. One that is
# awake takes its piece within a fraction of one; but telling many adds up.
cdef long long WORK_PER_THREAD = 1 << 16, WORK_OF_FEW = 1 << 14
cdef int FEW = 4

cdef int _threads = 1
cdef bint _force = False

cdef extern from *:
    """
    /* How many threads share the cores with this one, where a net runs several operators at once; 0: none do. */
    static __thread int sq_crowd = 0;
    """
    int sq_crowd


cdef void host(sq_team* team, int begin, int end) noexcept nogil:
    """The workers of a team: threads of OpenMP, each of which serves until it is dismissed."""
    cdef int at
    for at in prange(begin, end, num_threads=end - begin, schedule="static", chunksize=1):
        sq_serve(team, at)


cdef void parallel_range(range_fn fn, const void* job, long long count, long long align, int team) noexcept nogil:
    sq_parallel_range(fn, job, count, align, team)


cdef int team_size(long long work) noexcept nogil:
    cdef long long fit = _threads if _force else work // WORK_PER_THREAD
    cdef int most
    # Small work, most calls, must not even look at the workers.
    if fit < FEW and work >= 2 * WORK_OF_FEW and _threads > 1 and sq_workers_awake():
        fit = max(fit, min(<long long>FEW, work // WORK_OF_FEW))
    if fit < 2 or _threads == 1 or sq_in_parallel():
        return 1
    most = _threads // sq_crowd if sq_crowd > 1 else _threads
    return 1 if most < 1 else most if fit > most else <int>fit


cdef void share_cores(int crowd) noexcept nogil:
    global sq_crowd
    sq_crowd = crowd


def get_num_threads() -> int:
    """The largest team that a kernel uses."""
    return _threads


def set_num_threads(n: int) -> int:
    """Use teams of up to `n` threads from now on. Returns the number before. No effect without OpenMP."""
    global _threads
    if not 1 <= n <= 1024:
        raise ArgumentError(f"the number of threads must be 1 to 1024, not {n}")
    before = _threads
    _threads = n if sq_openmp() else 1
    return before


def force_teams(on: bool) -> None:
    """For tests: use the whole team for the smallest work too."""
    global _force
    _force = on


def openmp_version() -> int:
    """The OpenMP date that this build was compiled with, such as 201511; 0 for a build without OpenMP."""
    return sq_openmp()


def _cgroup_quota() -> float:
    """CPUs that the container may use at once (cgroup v2, then v1); infinity when there is no limit."""
    for path, v1 in (("/sys/fs/cgroup/cpu.max", False), ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", True)):
        try:
            with open(path) as f:
                quota = f.read().split()
            if v1:
                with open("/sys/fs/cgroup/cpu/cpu.cfs_period_us") as f:
                    quota.append(f.read().strip())
            if quota[0] not in ("max", "-1"):
                return float(quota[0]) / float(quota[1])
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return float("inf")


def available_cpus() -> int:
    """CPUs that this process may use: affinity mask and container quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(cores, _cgroup_quota())))


def _from_environment() -> int:
    for name in ("SERVERQUANT_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "").split(",")[0].strip()
        if value.isdigit() and 1 <= int(value) <= 1024:
            return int(value)
    return available_cpus()


sq_set_host(host)
set_num_threads(_from_environment())
