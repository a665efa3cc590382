"""One input, one output, element by element. See unary.h and maps.inc for each formula.

The `py_` functions run the same code on contiguous arrays of equal length, for tests, tools and operators in Python.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

import numpy as np

cdef extern from "unary.h" nogil:
    const sq_row* sq_unary_rows
    const int sq_unary_row_count

    ctypedef struct sq_relu_u8_job:
        const uint8_t* x
        uint8_t* y
        int32_t zero_point

# Inner borders of ranges: a multiple of any vector, and of a cache line of bytes.
cdef enum:
    ALIGN = 64

cdef range_fn[3] RELU_U8

fill_levels(RELU_U8, sq_unary_rows, sq_unary_row_count, b"relu_u8")

# Maps that cost an element no more than reading and writing it; the others count eightfold for the choice of the team.
cdef frozenset CHEAP = frozenset((
    "abs", "negative", "sign", "ceil", "floor", "scale", "sqr", "cube", "relu", "clip", "leaky", "thresholded", "is",
    "replace", "not", "cast", "reciprocal", "hard",
))


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("unary", sq_unary_rows, sq_unary_row_count)


cdef int find_map(Map* found, str name, float a=0, float b=0, int64_t n=1, bint flag=False) except -1:
    fill_levels(found.rows, sq_unary_rows, sq_unary_row_count, name.encode())
    found.job.a, found.job.b, found.job.n, found.job.flag = a, b, n, flag
    found.work = 1 if name.partition("_")[0] in CHEAP else 8
    return 0


cdef void run_map(const Map* found, const void* x, void* y, long long n) noexcept nogil:
    cdef sq_unary_job job = found.job
    job.x = x
    job.y = y
    parallel_range(found.rows[level()], &job, n, ALIGN, team_size(n * found.work))


cdef void relu_u8(const uint8_t* x, uint8_t* y, long long n, int zero_point) noexcept nogil:
    cdef sq_relu_u8_job job
    job.x = x
    job.y = y
    job.zero_point = zero_point
    # A byte costs far less than the unit of work.
    parallel_range(RELU_U8[level()], &job, n, ALIGN, team_size(n // 8))


@cython.boundscheck(False)
def py_map(str name, x, y=None, float a=0, float b=0, int64_t n=1, bint flag=False) -> np.ndarray:
    """The map of that name; into y, or a new array of x's shape and type."""
    cdef Map found
    x = np.ascontiguousarray(x)
    y = np.empty_like(x) if y is None else y
    cdef const uint8_t[::1] px = x.reshape(-1).view(np.uint8)
    cdef uint8_t[::1] py = y.reshape(-1).view(np.uint8)
    find_map(&found, name, a, b, n, flag)
    run_map(&found, &px[0], &py[0], x.size)
    return y


@cython.boundscheck(False)
def py_relu_u8(const uint8_t[::1] x, uint8_t[::1] y, int zero_point) -> None:
    relu_u8(&x[0], &y[0], x.shape[0], zero_point)
