"""Exact products of small whole numbers, nothing packed: see matmul_s16.h."""
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

cdef extern from "../kernels/matmul_s16/matmul_s16.h" nogil:
    ctypedef struct sq_matmul_s16_job:
        const int16_t* a
        const int16_t* b
        const int64_t* a_at
        const int64_t* b_at
        const float* multipliers
        int by_b
        void* y
        int floats
        long long m, n, k
        int32_t zero_point, lo, hi

# `batch` products of m x k and n x k matrices.
cdef void matmul_s16(const sq_matmul_s16_job* job, int64_t batch) noexcept nogil
# Matrices of rows x columns bytes, minus the zero point; transposed: as columns x rows.
cdef void widen(const uint8_t* x, int16_t* y, int64_t matrices, int64_t rows, int64_t columns, int zero_point,
                bint transposed) noexcept nogil
