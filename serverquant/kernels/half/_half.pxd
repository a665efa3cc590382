from libc.stdint cimport uint16_t

# IEEE half precision to and from single; ties to even.
cdef void from_f16(const uint16_t* x, float* y, long long n) noexcept nogil
cdef void to_f16(const float* x, uint16_t* y, long long n) noexcept nogil
