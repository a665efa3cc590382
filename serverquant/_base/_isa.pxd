cdef enum:
    SCALAR = 0
    AVX2 = 1
    AVX512VNNI = 2

# The level that kernels are chosen for: what the CPU has, lowered by SERVERQUANT_ISA or set_level().
cdef int level() noexcept nogil
