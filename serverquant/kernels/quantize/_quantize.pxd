"""Quantize, dequantize, requantize, and the range of a float array: see quantize.h for each formula.

All take element counts, use as many threads as pay, and give the same bytes on every instruction set.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint16_t

from serverquant._base._threads cimport range_fn

cdef extern from "quantize.h" nogil:
    ctypedef struct sq_quantize_job:
        const float* x
        void* y
        float scale
        int32_t zero_point
        int32_t lo
        int32_t hi

    ctypedef struct sq_dequantize_job:
        const void* x
        float* y
        float scale
        int32_t zero_point

# Server set, 8 bits: one fused multiply-add, then rounding. NaN gives 255 (s8: 127).
cdef void quantize_u8(const float* x, uint8_t* y, long long n, float scale, int zero_point) noexcept nogil
cdef void quantize_s8(const float* x, int8_t* y, long long n, float scale, int zero_point) noexcept nogil

# Server set, other widths: two roundings, clamped to `bits` bits of the type's signedness. NaN gives 0.
cdef void quantize_wide_u8(const float* x, uint8_t* y, long long n, float scale, int zero_point,
                           int bits) noexcept nogil
cdef void quantize_wide_s8(const float* x, int8_t* y, long long n, float scale, int zero_point,
                           int bits) noexcept nogil
cdef void quantize_wide_u16(const float* x, uint16_t* y, long long n, float scale, int zero_point,
                            int bits) noexcept nogil
cdef void quantize_wide_s16(const float* x, int16_t* y, long long n, float scale, int zero_point,
                            int bits) noexcept nogil
# A bias: bits = 32, zero_point = 0. NaN and too large values give INT32_MIN.
cdef void quantize_wide_s32(const float* x, int32_t* y, long long n, float scale, int zero_point,
                            int bits) noexcept nogil

# The kernel that quantizes to bytes by the server set's formula for so many bits, or (0 bits) by the mobile set's; x and y
# are left to the caller.
cdef range_fn quantize_u8_job(sq_quantize_job* job, float scale, int zero_point, int bits) noexcept nogil

# Mobile set.
cdef void quantize_mobile_u8(const float* x, uint8_t* y, long long n, float scale, int zero_point) noexcept nogil

# Both sets.
cdef range_fn dequantize_u8_job(sq_dequantize_job* job, const uint8_t* x, float* y, float scale,
                                int zero_point) noexcept nogil
cdef void dequantize_u8(const uint8_t* x, float* y, long long n, float scale, int zero_point) noexcept nogil
cdef void dequantize_u16(const uint16_t* x, float* y, long long n, float scale, int zero_point) noexcept nogil
cdef void dequantize_s32(const int32_t* x, float* y, long long n, float scale, int zero_point) noexcept nogil

# Server set: y = clamp(rne(f32(acc * multiplier)) + zero_point, lo, hi); lo = zero_point for a fused Relu.
cdef void requantize_u8(const int32_t* x, uint8_t* y, long long n, float multiplier, int zero_point, int lo,
                        int hi) noexcept nogil

# Mobile set: the 31-bit fixed point of gemm.h's SQ_REQUANT_Q31.
cdef void requantize_q31_u8(const int32_t* x, uint8_t* y, long long n, int32_t multiplier, int32_t shift,
                            int zero_point, int lo, int hi) noexcept nogil

# Smallest and largest value. n = 0: (0, 0). NaN first: (NaN, NaN); later ones are passed over. Zeros come out as +0.
cdef void min_max(const float* x, long long n, float* lo, float* hi) noexcept nogil
