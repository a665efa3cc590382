"""fp32 products of matrices that change from run to run, the same bytes on every instruction set and thread count.

`matmul()` runs on arrays. Contract and formula: matmul_f32.h.
"""
import numpy as np

from serverquant._base._threads cimport parallel_range, team_size
from serverquant.kernels.gemm_f32._gemm_f32 cimport choose_row

from serverquant._base.errors import DTypeError, ShapeError

cdef extern from "../kernels/matmul_f32/matmul_f32.h" nogil:
    ctypedef struct sq_matmul_pack_job:
        const sq_gemm_f32_row* row
        int64_t count, n, k
        const float* b
        int32_t transposed
        float* out

    int64_t sq_matmul_panel_floats(const sq_gemm_f32_row* row, int64_t n, int64_t k)
    void sq_matmul_f32_range(const void* job, long long begin, long long end)
    void sq_matmul_pack_range(const void* job, long long begin, long long end)


cdef const sq_gemm_f32_row* matmul_row() except NULL:
    return choose_row(None)


cdef bint packs(const sq_gemm_f32_row* row, int64_t m, bint transposed) noexcept nogil:
    return transposed or m > 2 * row.mr


cdef int64_t panel_floats(const sq_gemm_f32_row* row, int64_t n, int64_t k) noexcept nogil:
    return sq_matmul_panel_floats(row, n, k)


cdef void pack_panels(const sq_gemm_f32_row* row, const float* b, bint transposed, int64_t count, int64_t n, int64_t k,
                      float* out) noexcept nogil:
    cdef sq_matmul_pack_job job
    job.row, job.count, job.n, job.k, job.b, job.transposed, job.out = row, count, n, k, b, transposed, out
    parallel_range(sq_matmul_pack_range, &job, count * ((n + row.nr - 1) // row.nr), 1, team_size(count * n * k))


cdef void matmul_f32(sq_matmul_f32_job* job) noexcept nogil:
    job.team = team_size(job.batch * job.m * job.n * job.k)
    parallel_range(sq_matmul_f32_range, job, job.team, 1, <int>job.team)


def matmul(a, b, *, bint transposed=False, row: str | None = None) -> np.ndarray:
    """a [batch, m, k] x b [batch, k, n] (or [batch, n, k], if transposed): float32 [batch, m, n].

    row: name of a row of gemm_f32's table instead of the best one.
    """
    if a.dtype != np.float32 or b.dtype != np.float32:
        raise DTypeError(f"the matrices must be float32, not {a.dtype} and {b.dtype}")
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0] or a.shape[2] != b.shape[2 if transposed else 1]:
        raise ShapeError(f"matrices of shapes {a.shape} and {b.shape} cannot be multiplied")
    cdef sq_matmul_f32_job job
    job.row = choose_row(row)
    job.batch, job.m, job.k, job.n = a.shape[0], a.shape[1], a.shape[2], b.shape[1 if transposed else 2]
    out = np.empty((job.batch, job.m, job.n), np.float32)
    if not out.size:
        return out
    cdef int64_t floats = sq_matmul_panel_floats(job.row, job.n, job.k)
    cdef const float[::1] a_view = _padded(a)
    cdef const float[::1] b_view = _padded(b)
    cdef float[::1] panels = np.empty(job.batch * floats + 16, np.float32)
    cdef float[::1] y = out.ravel()
    job.a, job.a_at, job.b_at, job.lda, job.a_step = &a_view[0], NULL, NULL, job.k, job.m * job.k
    job.b, job.panels, job.ldb, job.b_step = &b_view[0], False, job.n, job.k * job.n
    job.row_bias, job.out = NULL, &y[0]
    with nogil:
        if packs(job.row, job.m, transposed):
            pack_panels(job.row, job.b, transposed, job.batch, job.n, job.k, &panels[0])
            job.b, job.panels, job.b_step = &panels[0], True, floats
        matmul_f32(&job)
    return out


def _padded(array):
    """Flat, with room behind the end for a vector."""
    flat = np.zeros(array.size + 16, np.float32)
    flat[:array.size] = array.ravel()
    return flat


def rows() -> list:
    """None of its own: it runs gemm_f32's."""
    return []
