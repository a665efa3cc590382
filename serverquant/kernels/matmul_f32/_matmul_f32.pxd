from libc.stdint cimport int32_t, int64_t

from serverquant.kernels.gemm_f32._gemm_f32 cimport sq_gemm_f32_row

cdef extern from "../kernels/matmul_f32/matmul_f32.h" nogil:
    ctypedef struct sq_matmul_f32_job:
        const sq_gemm_f32_row* row
        int64_t batch, m, n, k
        const float* a
        const float* b
        const int64_t* a_at
        const int64_t* b_at
        int64_t a_step, b_step, lda, ldb
        int32_t panels
        const float* row_bias
        float* out
        int64_t team

# The row of gemm_f32's table for the present level.
cdef const sq_gemm_f32_row* matmul_row() except NULL

# Whether B should be packed for products of so many rows: where it lies, its rows are far apart.
cdef bint packs(const sq_gemm_f32_row* row, int64_t m, bint transposed) noexcept nogil

# Floats that pack_panels() writes for one matrix of [k][n], but for the slack behind the last.
cdef int64_t panel_floats(const sq_gemm_f32_row* row, int64_t n, int64_t k) noexcept nogil

# `count` matrices [k][n] (or [n][k], if transposed), side by side, to panels. 64 bytes behind `out` are read later.
cdef void pack_panels(const sq_gemm_f32_row* row, const float* b, bint transposed, int64_t count, int64_t n, int64_t k,
                      float* out) noexcept nogil

# Runs a job; its `team` is set here.
cdef void matmul_f32(sq_matmul_f32_job* job) noexcept nogil
