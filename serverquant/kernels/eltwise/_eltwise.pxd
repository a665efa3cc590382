"""Sums of int8 arrays: see eltwise.h for each formula.

A sum is filled into a job, which gives the kernel for it; `add_up` runs that over the n elements of y, or a layer calls
it for the elements that it has just written. y may be one of the inputs. `relu` raises what lies below y's zero point
to it. The bytes are the same on every instruction set, thread count and split into ranges.
"""
from libc.stdint cimport int32_t, uint8_t

from serverquant._base._threads cimport range_fn

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

    ctypedef struct sq_add_u8_job:
        const uint8_t* a
        const uint8_t* b
        uint8_t* y
        long long n
        float a_scale
        float b_scale
        float y_scale
        int32_t a_zero_point
        int32_t b_zero_point
        int32_t y_zero_point
        int32_t lo

    ctypedef struct sq_sum_slow_job:
        const sq_slow_input* inputs
        int count
        uint8_t* y
        float mid_scale
        float y_scale
        int32_t mid_zero_point
        int32_t y_zero_point
        int32_t bits
        int32_t float_lo
        int32_t float_hi
        int32_t lo

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
cdef range_fn add_u8_fast(sq_add_u8_job* job, const uint8_t* a, float a_scale, int a_zero_point, const uint8_t* b,
                          float b_scale, int b_zero_point, uint8_t* y, float y_scale, int y_zero_point, bint relu,
                          long long n) noexcept nogil

# Server set, everything else ("slow sum"), through intermediate parameters of `bits` bits (16 in Caffe2).
# float_signed: Sum clamps float inputs as signed numbers, Add as unsigned ones. `inputs` are read when it runs.
cdef range_fn sum_u8_slow(sq_sum_slow_job* job, const sq_slow_input* inputs, int count, float mid_scale,
                          int mid_zero_point, int bits, bint float_signed, uint8_t* y, float y_scale, int y_zero_point,
                          bint relu) noexcept nogil

# Mobile set. NULL when a ratio of scales lies outside [2^-14, 2^8).
cdef range_fn add_u8_mobile(sq_add_mobile_job* job, const uint8_t* a, float a_scale, int a_zero_point, const uint8_t* b,
                            float b_scale, int b_zero_point, uint8_t* y, float y_scale, int y_zero_point,
                            bint relu) noexcept nogil

# Runs a sum of `count` inputs on as many threads as pay.
cdef void add_up(range_fn sum, const void* job, int count, long long n) noexcept nogil
