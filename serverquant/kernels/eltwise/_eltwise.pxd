"""Sums of int8 arrays: see eltwise.h for each formula.

n counts elements. All use as many threads as pay and give the same bytes on every instruction set and thread count.
y may be one of the inputs. `relu` raises what lies below y's zero point to it.
"""
from libc.stdint cimport int32_t, uint8_t

cdef extern from "eltwise.h" nogil:
    # One input of a slow sum; data is uint8_t, or float when is_float (scale and zero_point then are not read).
    # mid = 0: as long as the output. mid > 0: output element i takes element (i / post) % mid (old-style broadcast).
    ctypedef struct sq_slow_input:
        const void* data
        int is_float
        float scale
        int32_t zero_point
        long long mid
        long long post

    ctypedef struct sq_add_mobile_job:
        const uint8_t* a
        const uint8_t* b
        uint8_t* y
        int32_t a_multiplier
        int32_t b_multiplier
        int32_t bias
        int32_t shift
        int32_t y_zero_point
        int32_t lo

# Server set: exactly two Int8 inputs of one shape ("fast sum").
cdef void add_u8_fast(const uint8_t* a, float a_scale, int a_zero_point, const uint8_t* b, float b_scale,
                      int b_zero_point, uint8_t* y, float y_scale, int y_zero_point, bint relu,
                      long long n) noexcept nogil

# Server set, everything else ("slow sum"), through intermediate parameters of `bits` bits (16 in Caffe2).
# float_signed: Sum clamps float inputs as signed numbers, Add as unsigned ones.
cdef void sum_u8_slow(const sq_slow_input* inputs, int count, float mid_scale, int mid_zero_point, int bits,
                      bint float_signed, uint8_t* y, float y_scale, int y_zero_point, bint relu,
                      long long n) noexcept nogil

# Mobile set. Prepare once: multipliers into `job`; -1 when a ratio of scales lies outside [2^-14, 2^8). Then run.
cdef int add_u8_mobile_prepare(sq_add_mobile_job* job, float a_scale, int a_zero_point, float b_scale,
                               int b_zero_point, float y_scale, int y_zero_point, bint relu) noexcept nogil
cdef void add_u8_mobile(sq_add_mobile_job* job, const uint8_t* a, const uint8_t* b, uint8_t* y,
                        long long n) noexcept nogil
