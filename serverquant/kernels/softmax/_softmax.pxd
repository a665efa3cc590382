"""Softmax of rows: see softmax.h. Same bytes on every instruction set. y may be x."""
from libc.stdint cimport uint8_t, uint32_t

cdef void softmax_f32(const float* x, float* y, long long rows, long long d) noexcept nogil
cdef void softmax_u8(const uint8_t* x, uint8_t* y, long long rows, long long d, const uint32_t* table) noexcept nogil
