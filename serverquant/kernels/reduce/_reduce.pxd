"""Reductions of the middle axis: x is (outer, n, inner), y (outer, inner). See reduce.h and maps.inc.

A kernel is found by name once (`reduce_sum_f32`): its rows by instruction set.
"""
from libc.stdint cimport int64_t

from serverquant._base._threads cimport range_fn

cdef struct Kernel:
    range_fn[3] rows

cdef int find_kernel(Kernel* found, str name) except -1
cdef void reduce(const Kernel* f, const void* x, void* y, long long outer, long long n, long long inner) noexcept nogil

# values, places, places_flat (or NULL): (outer, k, inner). k > 0.
cdef void top_k(const float* x, float* values, int64_t* places, int64_t* places_flat, long long outer, long long n,
                long long inner, long long k) noexcept nogil
