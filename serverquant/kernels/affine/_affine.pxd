"""Products and channel-wise linear maps of bytes: see affine.h."""
from libc.stdint cimport int32_t, uint8_t

cdef extern from "../kernels/affine/affine.h" nogil:
    ctypedef struct sq_affine_job:
        const uint8_t* a
        const uint8_t* b
        const int32_t* bias
        const float* alpha
        const float* beta
        uint8_t* y
        long long channels, inner
        int32_t a_zero_point, b_zero_point, zero_point, lo, hi
        float multiplier

cdef void mul_u8(const sq_affine_job* job, long long n) noexcept nogil
cdef void linear_u8(const sq_affine_job* job, long long n) noexcept nogil
cdef void norm_u8(const sq_affine_job* job, long long n) noexcept nogil
