"""One input, one output, element by element: see unary.h for each formula. n counts elements; y may be x."""
from libc.stdint cimport uint8_t

cdef void relu_f32(const float* x, float* y, long long n) noexcept nogil
cdef void clip_f32(const float* x, float* y, long long n, float lo, float hi) noexcept nogil
cdef void relu_u8(const uint8_t* x, uint8_t* y, long long n, int zero_point) noexcept nogil
