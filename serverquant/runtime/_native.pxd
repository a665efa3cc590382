"""What a native operator of an outside package may cimport: functions and C structures, no classes, so that a package
that was compiled against another release is refused when it is imported, or works.
"""
from libc.stdint cimport uint32_t

from serverquant.blobs._blob cimport sq_step

# A Step that calls `run`, with `context_bytes` of zeroed memory, whose address goes to `context`. `rows`: see op_api.h.
cdef object native_step(
    int (*run)(sq_step* step) noexcept nogil, size_t context_bytes, void** context, uint32_t rows, str kernel
)
