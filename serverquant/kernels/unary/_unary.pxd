"""One input, one output, element by element: see unary.h and maps.inc. n counts elements; y may be x."""
from libc.stdint cimport int32_t, int64_t, uint8_t

from serverquant._base._threads cimport range_fn

cdef extern from "unary.h" nogil:
    ctypedef struct sq_unary_job:
        const void* x
        void* y
        float a
        float b
        int64_t n
        int32_t flag

# A map of maps.inc, found by name once: its rows by instruction set, its parameters, and how much work an element is.
cdef struct Map:
    range_fn[3] rows
    sq_unary_job job
    long long work

cdef int find_map(Map* found, str name, float a=*, float b=*, int64_t n=*, bint flag=*) except -1
cdef void run_map(const Map* found, const void* x, void* y, long long n) noexcept nogil

cdef void relu_u8(const uint8_t* x, uint8_t* y, long long n, int zero_point) noexcept nogil
