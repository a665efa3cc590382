from libc.stdint cimport int32_t, int64_t

from serverquant.kernels._bounds cimport sq_bounds

cdef extern from "../kernels/gemm_f32/gemm_f32.h" nogil:
    ctypedef struct sq_gemm_f32_row:
        const char* name
        int32_t isa, mr, nr, lanes

    ctypedef struct sq_packed_f32:
        const sq_gemm_f32_row* row
        const float* data
        int64_t groups, n, k


cdef class PackedWeightF32:
    cdef sq_packed_f32 raw
    cdef object _buffer

cdef const sq_gemm_f32_row* choose_row(object name) except NULL

# out[m, n] = sum over k of a[m, k] * w[group][n, k], + bias[n] unless NULL, within the bounds (NULL: none). lda and ldc count
# floats between rows. `team`: from team_size(m * n * k). The bytes do not depend on it.
cdef void gemm_f32(const sq_packed_f32* packed, int64_t group, const float* a, int64_t m, int64_t lda,
                   const float* bias, const sq_bounds* bounds, float* out, int64_t ldc, int team) noexcept nogil
