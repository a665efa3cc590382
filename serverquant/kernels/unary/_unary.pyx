"""One input, one output, element by element. See unary.h for each formula.

The `py_` functions run the same code on contiguous arrays of equal length, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport int32_t, uint8_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "unary.h" nogil:
    const sq_row* sq_unary_rows
    const int sq_unary_row_count

    ctypedef struct sq_unary_job:
        const float* x
        float* y
        float lo
        float hi

    ctypedef struct sq_relu_u8_job:
        const uint8_t* x
        uint8_t* y
        int32_t zero_point

# Inner borders of ranges: a multiple of any vector, and of a cache line of bytes.
cdef enum:
    ALIGN = 64

cdef range_fn[3] RELU_F32, CLIP_F32, RELU_U8

fill_levels(RELU_F32, sq_unary_rows, sq_unary_row_count, b"relu_f32")
fill_levels(CLIP_F32, sq_unary_rows, sq_unary_row_count, b"clip_f32")
fill_levels(RELU_U8, sq_unary_rows, sq_unary_row_count, b"relu_u8")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("unary", sq_unary_rows, sq_unary_row_count)


cdef void relu_f32(const float* x, float* y, long long n) noexcept nogil:
    cdef sq_unary_job job
    job.x = x
    job.y = y
    parallel_range(RELU_F32[level()], &job, n, ALIGN, team_size(n))


cdef void clip_f32(const float* x, float* y, long long n, float lo, float hi) noexcept nogil:
    cdef sq_unary_job job
    job.x = x
    job.y = y
    job.lo = lo
    job.hi = hi
    parallel_range(CLIP_F32[level()], &job, n, ALIGN, team_size(n))


cdef void relu_u8(const uint8_t* x, uint8_t* y, long long n, int zero_point) noexcept nogil:
    cdef sq_relu_u8_job job
    job.x = x
    job.y = y
    job.zero_point = zero_point
    # A byte costs far less than the unit of work.
    parallel_range(RELU_U8[level()], &job, n, ALIGN, team_size(n // 8))


@cython.boundscheck(False)
def py_relu_f32(const float[::1] x, float[::1] y) -> None:
    relu_f32(&x[0], &y[0], x.shape[0])


@cython.boundscheck(False)
def py_clip_f32(const float[::1] x, float[::1] y, float lo, float hi) -> None:
    clip_f32(&x[0], &y[0], x.shape[0], lo, hi)


@cython.boundscheck(False)
def py_relu_u8(const uint8_t[::1] x, uint8_t[::1] y, int zero_point) -> None:
    relu_u8(&x[0], &y[0], x.shape[0], zero_point)
