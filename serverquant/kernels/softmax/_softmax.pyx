"""Softmax of rows. See softmax.h.

The `py_` functions run the same code on contiguous arrays, for tests and tools.
Bounds are not checked there in any build: the address of an empty array's first element is taken, never read.
"""
cimport cython
from libc.stdint cimport uint8_t, uint32_t

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "softmax.h" nogil:
    const sq_row* sq_softmax_rows
    const int sq_softmax_row_count
    enum:
        SQ_SOFTMAX_LANES

    ctypedef struct sq_softmax_job:
        const float* x
        float* y
        long long d

    ctypedef struct sq_softmax_u8_job:
        const uint8_t* x
        uint8_t* y
        const uint32_t* table
        long long d

# Elementary operations of one exponential, for the choice of the team.
cdef enum:
    EXP_WORK = 8

cdef range_fn[3] SOFTMAX, SOFTMAX_U8

fill_levels(SOFTMAX, sq_softmax_rows, sq_softmax_row_count, b"softmax_f32")
fill_levels(SOFTMAX_U8, sq_softmax_rows, sq_softmax_row_count, b"softmax_u8")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("softmax", sq_softmax_rows, sq_softmax_row_count)


cdef void softmax_f32(const float* x, float* y, long long rows, long long d) noexcept nogil:
    cdef sq_softmax_job job
    job.x = x
    job.y = y
    job.d = d
    cdef int align = SQ_SOFTMAX_LANES if d < SQ_SOFTMAX_LANES else 1
    if d > 0:
        parallel_range(SOFTMAX[level()], &job, rows, align, team_size(rows * d * EXP_WORK))


cdef void softmax_u8(const uint8_t* x, uint8_t* y, long long rows, long long d, const uint32_t* table) noexcept nogil:
    cdef sq_softmax_u8_job job
    job.x = x
    job.y = y
    job.table = table
    job.d = d
    if d > 0:
        parallel_range(SOFTMAX_U8[level()], &job, rows, 1, team_size(rows * d * EXP_WORK))


@cython.boundscheck(False)
def py_softmax_f32(const float[:, ::1] x, float[:, ::1] y) -> None:
    softmax_f32(&x[0, 0], &y[0, 0], x.shape[0], x.shape[1])


@cython.boundscheck(False)
def py_softmax_u8(const uint8_t[:, ::1] x, uint8_t[:, ::1] y, const uint32_t[::1] table) -> None:
    if table.shape[0] != 256:
        raise ValueError("a table of 256 entries")
    softmax_u8(&x[0, 0], &y[0, 0], x.shape[0], x.shape[1], &table[0])
