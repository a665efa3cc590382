"""Exact products of small whole numbers, nothing packed. See matmul_s16.h."""
import numpy as np

from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "matmul_s16.h" nogil:
    const sq_row* sq_matmul_s16_rows
    const int sq_matmul_s16_row_count

    ctypedef struct sq_widen_job:
        const uint8_t* x
        int16_t* y
        long long count, stride
        int32_t zero_point

cdef range_fn[3] MATMUL, ROWS, COLUMNS

fill_levels(MATMUL, sq_matmul_s16_rows, sq_matmul_s16_row_count, b"matmul_s16")
fill_levels(ROWS, sq_matmul_s16_rows, sq_matmul_s16_row_count, b"widen_rows")
fill_levels(COLUMNS, sq_matmul_s16_rows, sq_matmul_s16_row_count, b"widen_columns")


def rows() -> list:
    """The kernel table, fastest first for each op."""
    return row_objects("matmul_s16", sq_matmul_s16_rows, sq_matmul_s16_row_count)


cdef void matmul_s16(const sq_matmul_s16_job* job, int64_t batch) noexcept nogil:
    parallel_range(MATMUL[level()], job, batch * job.m, 1, team_size(batch * job.m * job.n * job.k // 4))


cdef void widen(const uint8_t* x, int16_t* y, int64_t matrices, int64_t rows, int64_t columns, int zero_point,
                bint transposed) noexcept nogil:
    cdef sq_widen_job job
    cdef int64_t i
    job.zero_point = zero_point
    if not transposed:
        job.x, job.y, job.count, job.stride = x, y, columns, columns
        parallel_range(ROWS[level()], &job, matrices * rows, 1, team_size(matrices * rows * columns))
        return
    job.count, job.stride = rows, columns
    for i in range(matrices):
        job.x, job.y = x + i * rows * columns, y + i * rows * columns
        parallel_range(COLUMNS[level()], &job, columns, 1, team_size(rows * columns))


def py_matmul(const uint8_t[:, :, ::1] a, const uint8_t[:, :, ::1] b, int a_zero_point, int b_zero_point, float multiplier,
              int zero_point):
    """For tests: bytes [batch, m, n] of a [batch, m, k] and b [batch, k, n]."""
    cdef int64_t batch = a.shape[0], m = a.shape[1], k = a.shape[2], n = b.shape[2]
    a16, b16, at = np.empty((batch, m, k), np.int16), np.empty((batch, n, k), np.int16), np.arange(batch)
    y = np.empty((batch, m, n), np.uint8)
    cdef int16_t[:, :, ::1] wide_a = a16, wide_b = b16
    cdef int64_t[::1] places = at
    cdef uint8_t[:, :, ::1] to = y
    cdef sq_matmul_s16_job job
    widen(&a[0, 0, 0], &wide_a[0, 0, 0], batch, m, k, a_zero_point, False)
    widen(&b[0, 0, 0], &wide_b[0, 0, 0], batch, k, n, b_zero_point, True)
    job.a, job.b, job.a_at, job.b_at = &wide_a[0, 0, 0], &wide_b[0, 0, 0], &places[0], &places[0]
    job.multipliers, job.by_b, job.y, job.floats = &multiplier, False, &to[0, 0, 0], False
    job.m, job.n, job.k, job.zero_point, job.lo, job.hi = m, n, k, zero_point, 0, 255
    matmul_s16(&job, batch)
    return y
