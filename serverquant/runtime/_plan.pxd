from libc.stdint cimport int32_t, uint32_t, uint64_t

from serverquant.blobs._blob cimport Blob, sq_shape, sq_step, sq_tensor


cdef class Step:
    """One planned operator. Families subclass nothing: they make a Step, fill `c` and a context, and name `kernel`."""
    cdef sq_step c
    cdef public object prepare
    cdef public object keep
    cdef public str kernel
    cdef public dict facts
    cdef void* new_context(self, size_t nbytes) except NULL


# Write a message for SQ_ERROR and return it: `return fail(s, "index %lld is out of range", i)`.
cdef extern from "plan.h" nogil:
    int fail "sq_fail" (sq_step* step, const char* format, ...)
