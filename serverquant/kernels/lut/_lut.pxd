from libc.stdint cimport uint8_t

# y[i] = table[x[i]], a table of 256 bytes; y may be x.
cdef void lut_u8(const uint8_t* x, uint8_t* y, long long n, const uint8_t* table) noexcept nogil
