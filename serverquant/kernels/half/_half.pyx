"""Half precision to and from single. See half.h.

The `py_` functions run the same code on contiguous arrays, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "half.h" nogil:
    const sq_row* sq_half_rows
    const int sq_half_row_count

    ctypedef struct sq_half_job:
        const void* x
        void* y

# Inner borders of ranges: a multiple of any vector.
cdef enum:
    ALIGN = 32

cdef range_fn[3] FROM, TO

fill_levels(FROM, sq_half_rows, sq_half_row_count, b"from_f16")
fill_levels(TO, sq_half_rows, sq_half_row_count, b"to_f16")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("half", sq_half_rows, sq_half_row_count)


cdef void from_f16(const uint16_t* x, float* y, long long n) noexcept nogil:
    cdef sq_half_job job
    job.x, job.y = x, y
    parallel_range(FROM[level()], &job, n, ALIGN, team_size(n))


cdef void to_f16(const float* x, uint16_t* y, long long n) noexcept nogil:
    cdef sq_half_job job
    job.x, job.y = x, y
    parallel_range(TO[level()], &job, n, ALIGN, team_size(n))


@cython.boundscheck(False)
def py_from_f16(const uint16_t[::1] x, float[::1] y) -> None:
    from_f16(&x[0], &y[0], x.shape[0])


@cython.boundscheck(False)
def py_to_f16(const float[::1] x, uint16_t[::1] y) -> None:
    to_f16(&x[0], &y[0], x.shape[0])
