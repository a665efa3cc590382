"""Softmax of float rows, and its exponential: see softmax.h. Same bytes on every instruction set. y may be x."""

cdef void softmax_f32(const float* x, float* y, long long rows, long long d) noexcept nogil
cdef void exp_f32(const float* x, float* y, long long n) noexcept nogil
