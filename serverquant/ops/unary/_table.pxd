from libc.stdint cimport uint8_t

# The server set's table of Tanh: bytes around 128 in steps of 3/127 to bytes around 128 in 127ths.
cdef void fill_tanh(uint8_t* entries) noexcept nogil
